// Package serving answers HTTP: requests in, answers out. Its folders hold the endpoints; this package assembles them into one server
// with health, readiness and metrics, sane timeouts and a graceful end.
//
// The server listens on loopback unless told otherwise, and then also refuses requests whose Host header names something else: a web page
// in the browser of the same machine must not reach it under a name of its own (DNS rebinding).
package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/braidhq/braid/serving/problem"
)

// Route is one endpoint: a http.ServeMux pattern and what answers there.
type Route struct {
	Pattern string
	Handler http.Handler
}

// Config says how the server runs.
type Config struct {
	// Listen is the address, HOST:PORT; port 0 takes a free one. Default "127.0.0.1:8080".
	Listen string
	// AllowRemote permits a Listen address that other machines reach. Default false.
	AllowRemote bool
	// Hosts are further Host header values to accept on loopback, for a reverse proxy on the same machine.
	Hosts []string
	// Checks decide over readiness.
	Checks []Check
	// Metrics is what /metrics shows. Nil leaves /metrics out.
	Metrics prometheus.Gatherer
	// ReadTimeout bounds reading one request with its body. Default 30 seconds.
	ReadTimeout time.Duration
	// WriteTimeout bounds a request from the end of its headers to the end of the answer. Default 60 seconds.
	WriteTimeout time.Duration
	// ShutdownTimeout is how long requests under way may take after the end was asked for. Default 15 seconds.
	ShutdownTimeout time.Duration
	// Logger receives requests at level debug. Default slog.Default.
	Logger *slog.Logger
}

// Validate reports the first setting that makes no sense, among them a Listen address that is not loopback without AllowRemote.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q is not HOST:PORT: %w", c.Listen, err)
	}
	if !c.AllowRemote && !loopbackHost(host) {
		return fmt.Errorf("listen address %q can be reached from other machines: use 127.0.0.1, or allow it explicitly", c.Listen)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 30 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = time.Minute
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 15 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// loopbackHost reports whether only this machine reaches the host. An empty one means all interfaces.
func loopbackHost(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Server is the assembled server. It is made by Listen and works in Serve.
type Server struct {
	config   Config
	listener net.Listener
	http     *http.Server
}

// Listen opens the address and assembles the server. Requests wait until Serve.
func Listen(config Config, routes ...Route) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("HTTP: %w", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !config.AllowRemote && (!ok || !address.IP.IsLoopback()) { // "localhost" is what the resolver makes of it
		listener.Close()
		return nil, fmt.Errorf("listen address %q resolves to %v, which is not loopback", config.Listen, listener.Addr())
	}
	return &Server{config: config, listener: listener, http: &http.Server{
		Handler:           Handler(config, routes...),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       config.ReadTimeout,
		WriteTimeout:      config.WriteTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
	}}, nil
}

// Address returns where the server listens, HOST:PORT.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers requests until ctx ends, then lets those under way finish and returns nil. An error means that the server
// broke down or that requests had to be cut off.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("HTTP: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(limit); err != nil {
		return errors.Join(fmt.Errorf("HTTP: requests were cut off after %v: %w", s.config.ShutdownTimeout, err), s.http.Close())
	}
	return nil
}

// Handler assembles the routes with /healthz, /readyz and /metrics, without a listener. Config.Listen decides whether Host headers are
// checked.
func Handler(config Config, routes ...Route) http.Handler {
	config = config.withDefaults()
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.Pattern, route.Handler)
	}
	mux.HandleFunc("GET /healthz", healthy)
	mux.Handle("GET /readyz", readiness(config.Checks))
	if config.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(config.Metrics, promhttp.HandlerOpts{}))
	}
	var handler http.Handler = mux
	if host, _, err := net.SplitHostPort(config.Listen); err == nil && loopbackHost(host) {
		handler = checkHost(handler, config.Hosts)
	}
	return logRequests(handler, config.Logger)
}

// checkHost refuses requests that came under a foreign name.
func checkHost(next http.Handler, allowed []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !loopbackHost(strings.Trim(host, "[]")) && !slices.Contains(allowed, host) {
			problem.New(http.StatusMisdirectedRequest, "foreign_host", "this server answers on loopback only, not for this Host").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}
