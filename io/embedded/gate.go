package embedded

import (
	"context"
	"net"
	"sync"
)

// gate keeps clients out of a broker that recovers: connections from outside wait in the listen queue until open, only dial goes
// through, by a pipe inside the process.
type gate struct {
	opened   chan struct{}
	once     sync.Once
	inside   chan net.Conn
	listener *gatedListener
}

func newGate() *gate {
	return &gate{opened: make(chan struct{}), inside: make(chan net.Conn)}
}

// open lets everybody in.
func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// listen is kfake's listen function. kfake asks for 127.0.0.1 and nothing else.
func (g *gate) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	g.listener = &gatedListener{Listener: l, gate: g, closed: make(chan struct{}), accepted: make(chan accepted)}
	go g.listener.acceptOutside()
	return g.listener, nil
}

func (g *gate) address() string { return g.listener.Addr().String() }

// dial connects to the broker past the gate.
func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case g.inside <- server:
		return client, nil
	case <-g.listener.closed:
		client.Close()
		return nil, net.ErrClosed
	case <-ctx.Done():
		client.Close()
		return nil, ctx.Err()
	}
}

type accepted struct {
	conn net.Conn
	err  error
}

type gatedListener struct {
	net.Listener
	gate     *gate
	accepted chan accepted
	closed   chan struct{}
	once     sync.Once
}

// acceptOutside hands on connections from outside once the gate is open.
func (l *gatedListener) acceptOutside() {
	select {
	case <-l.gate.opened:
	case <-l.closed:
		return
	}
	for {
		conn, err := l.Listener.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if conn != nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// Accept implements net.Listener.
func (l *gatedListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case conn := <-l.gate.inside:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *gatedListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}
