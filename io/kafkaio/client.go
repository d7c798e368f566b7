package kafkaio

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Client says how to reach a Kafka cluster. It travels to the workers as JSON inside the DoFns, so it should hold no
// secrets: in SASL.User, SASL.Password and the file names of TLS, ${NAME} stands for the environment variable NAME of
// the worker, read when the client is made.
type Client struct {
	// Brokers are the seed brokers, host:port. At least one.
	Brokers []string `json:"brokers"`
	// ClientID is what brokers log and account by. Default "beam-kafkaio".
	ClientID string `json:"client_id,omitempty"`
	// TLS turns encryption on. Default nil: plain text.
	TLS *TLS `json:"tls,omitempty"`
	// SASL turns authentication on. Default nil: none.
	SASL *SASL `json:"sasl,omitempty"`
}

// TLS says how to encrypt connections; the zero value trusts the system's certificate authorities.
type TLS struct {
	// CAFile holds PEM certificates of the authorities to trust. Default "": the system's.
	CAFile string `json:"ca_file,omitempty"`
	// CertFile and KeyFile hold the client's own PEM certificate and key. Default "": none.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// ServerName overrides the name the broker's certificate is checked for. Default "": the host dialled.
	ServerName string `json:"server_name,omitempty"`
	// Insecure accepts any certificate. Only for tests.
	Insecure bool `json:"insecure,omitempty"`
}

// SASL says how to authenticate.
type SASL struct {
	// Mechanism is one of Plain, ScramSHA256 and ScramSHA512.
	Mechanism Mechanism `json:"mechanism"`
	User      string    `json:"user"`
	Password  string    `json:"password"`
}

// Mechanism names a SASL mechanism as Kafka spells it.
type Mechanism string

// The SASL mechanisms that are supported.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// Validate reports what is wrong with the configuration, without dialling or reading files.
func (c Client) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafkaio: no brokers given")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return fmt.Errorf("kafkaio: broker %q is not host:port: %w", b, err)
		}
	}
	if t := c.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("kafkaio: a client certificate needs both cert_file and key_file")
	}
	if s := c.SASL; s != nil {
		switch s.Mechanism {
		case Plain, ScramSHA256, ScramSHA512:
		default:
			return fmt.Errorf("kafkaio: unknown SASL mechanism %q: want %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512)
		}
		if s.User == "" {
			return errors.New("kafkaio: SASL needs a user")
		}
	}
	return kgo.ValidateOpts(kgo.SeedBrokers(c.Brokers...))
}

// Options returns the settings for a client of one's own that reaches the same cluster in the same way.
func (c Client) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.SoftwareNameAndVersion("beam-kafkaio", "1")}
	id := c.ClientID
	if id == "" {
		id = "beam-kafkaio"
	}
	opts = append(opts, kgo.ClientID(id))
	if c.TLS != nil {
		conf, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	if c.SASL != nil {
		opt, err := c.SASL.option()
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt)
	}
	return opts, nil
}

// connect makes a client; it dials nothing yet.
func (c Client) connect(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafkaio: client configuration: %w", err)
	}
	return cl, nil
}

func (t *TLS) config() (*tls.Config, error) {
	conf := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := readExpanded(t.CAFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafkaio: no PEM certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := readExpanded(t.CertFile)
		if err != nil {
			return nil, err
		}
		key, err := readExpanded(t.KeyFile)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("kafkaio: client certificate %s: %w", t.CertFile, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

func (s *SASL) option() (kgo.Opt, error) {
	user, err := expand(s.User)
	if err != nil {
		return nil, err
	}
	pass, err := expand(s.Password)
	if err != nil {
		return nil, err
	}
	switch s.Mechanism {
	case Plain:
		return kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()), nil
	case ScramSHA256:
		return kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()), nil
	case ScramSHA512:
		return kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()), nil
	}
	return nil, fmt.Errorf("kafkaio: unknown SASL mechanism %q", s.Mechanism)
}

var reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces each ${NAME} by the environment variable; one that is not set is an error.
func expand(s string) (string, error) {
	var missing error
	out := reference.ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-1]
		v, ok := os.LookupEnv(name)
		if !ok {
			missing = fmt.Errorf("kafkaio: the environment variable %s is not set", name)
		}
		return v
	})
	return out, missing
}

func readExpanded(name string) ([]byte, error) {
	name, err := expand(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("kafkaio: %w", err)
	}
	return b, nil
}

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
