package kafkaio

import "sync"

// pool shares clients between the DoFn instances of a process, counted by key. A client is closed with its last user;
// whoever asks for it meanwhile waits for the close and gets a new one.
type pool[T any] struct {
	close func(T)

	mu sync.Mutex
	m  map[string]*pooled[T]
}

type pooled[T any] struct {
	v    T
	uses int
	gone chan struct{} // closed when v is; nil while in use
}

func newPool[T any](close func(T)) *pool[T] {
	return &pool[T]{close: close, m: map[string]*pooled[T]{}}
}

func (p *pool[T]) acquire(key string, make func() (T, error)) (T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		e := p.m[key]
		if e == nil {
			break
		}
		if e.gone == nil {
			e.uses++
			return e.v, nil
		}
		p.mu.Unlock()
		<-e.gone
		p.mu.Lock()
	}
	v, err := make()
	if err != nil {
		return v, err
	}
	p.m[key] = &pooled[T]{v: v, uses: 1}
	return v, nil
}

func (p *pool[T]) release(key string) {
	p.mu.Lock()
	e := p.m[key]
	if e.uses--; e.uses > 0 {
		p.mu.Unlock()
		return
	}
	e.gone = make(chan struct{})
	p.mu.Unlock()
	p.close(e.v)
	p.mu.Lock()
	delete(p.m, key)
	p.mu.Unlock()
	close(e.gone)
}
