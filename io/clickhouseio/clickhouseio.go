// Package clickhouseio reads and writes ClickHouse from Beam pipelines in Go.
//
// Write takes a PCollection of structs, whose fields the tag ch names after columns, and inserts a bundle of them at a time, as native
// blocks. An insert is atomic, and a bundle that is run again is inserted again, so by default rows are written at least once. With
// InOrder they are written exactly once: rows that carry their position in a log, such as partition and offset of a Kafka
// record, and come in its order, are told apart from those that the table has.
//
// Query and Exec are for everything else: they use the same Client. The connection is described by one URL, which holds references to
// secrets and not the secrets, so that it can be part of a pipeline.
package clickhouseio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Client says how to reach ClickHouse. It is safe to keep in a pipeline: it holds no secret.
type Client struct {
	// URL is clickhouse://USER@HOST:PORT,HOST:PORT/DATABASE with the parameters that clickhouse-go knows (secure=true, dial_timeout=5s,
	// compress=lz4, ...) and these: password=${VARIABLE} names the variable of the environment that holds the password,
	// password_file=PATH the file; ca_file=PATH the certificates to trust. A password in the URL itself is refused.
	URL string
}

// Parameters of the URL that are not clickhouse-go's.
const (
	passwordParameter     = "password"
	passwordFileParameter = "password_file"
	caFileParameter       = "ca_file"
)

// Validate reports what is wrong with the URL, without connecting and without asking for the secrets.
func (c Client) Validate() error {
	_, _, err := c.parse()
	return err
}

// parse returns the URL without our parameters, and those.
func (c Client) parse() (*url.URL, url.Values, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, nil, errors.New("clickhouseio: the URL cannot be read; it is like clickhouse://USER@HOST:9000/DATABASE") // its error may show a password
	}
	ours, query := url.Values{}, u.Query()
	for _, name := range []string{passwordParameter, passwordFileParameter, caFileParameter} {
		if query.Has(name) {
			ours[name] = query[name]
			query.Del(name)
		}
	}
	_, literal := u.User.Password()
	reference := ours.Get(passwordParameter)
	switch {
	case u.Scheme != "clickhouse":
		return nil, nil, fmt.Errorf("clickhouseio: the URL begins with %q; it is like clickhouse://USER@HOST:9000/DATABASE", u.Scheme+":")
	case u.Host == "":
		return nil, nil, errors.New("clickhouseio: the URL names no host; it is like clickhouse://USER@HOST:9000/DATABASE")
	case literal:
		return nil, nil, errors.New("clickhouseio: the URL holds a password; use a reference to the environment: ?password=${CLICKHOUSE_PASSWORD}")
	case ours.Has(passwordParameter) && (!strings.HasPrefix(reference, "${") || !strings.HasSuffix(reference, "}")):
		return nil, nil, errors.New("clickhouseio: password= is no reference to the environment, such as ${CLICKHOUSE_PASSWORD}")
	case ours.Has(passwordParameter) && ours.Has(passwordFileParameter):
		return nil, nil, errors.New("clickhouseio: password= and password_file= exclude each other")
	}
	u.RawQuery = query.Encode()
	if _, err := clickhouse.ParseDSN(u.String()); err != nil {
		return nil, nil, fmt.Errorf("clickhouseio: %w", err)
	}
	return u, ours, nil
}

// Database returns the database that the URL names; empty: the user's default one.
func (c Client) Database() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// In returns the client for another database of the same server.
func (c Client) In(database string) Client {
	u, err := url.Parse(c.URL)
	if err != nil {
		return c
	}
	u.Path = "/" + database
	return Client{URL: u.String()}
}

// Options returns how clickhouse-go connects, with the secrets.
func (c Client) Options() (*clickhouse.Options, error) {
	u, ours, err := c.parse()
	if err != nil {
		return nil, err
	}
	o, err := clickhouse.ParseDSN(u.String())
	if err != nil {
		return nil, fmt.Errorf("clickhouseio: %w", err)
	}
	if reference := ours.Get(passwordParameter); reference != "" {
		name := reference[2 : len(reference)-1]
		password, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("clickhouseio: the variable %s, which holds the password, is not set", name)
		}
		o.Auth.Password = password
	}
	if path := ours.Get(passwordFileParameter); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("clickhouseio: password: %w", err)
		}
		o.Auth.Password = strings.TrimSpace(string(text))
	}
	if path := ours.Get(caFileParameter); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("clickhouseio: certificates: %w", err)
		}
		if o.TLS == nil {
			o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if o.TLS.RootCAs = x509.NewCertPool(); !o.TLS.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("clickhouseio: %s holds no certificates in PEM", path)
		}
	}
	if o.Compression == nil {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	return o, nil
}

// Open connects and asks for an answer. The caller closes the connection.
func (c Client) Open(ctx context.Context) (driver.Conn, error) {
	o, err := c.Options()
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, fmt.Errorf("clickhouseio: %w", err)
	}
	if err := conn.Ping(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("clickhouseio: %s does not answer: %w", strings.Join(o.Addr, ", "), err)
	}
	return conn, nil
}

// Quote returns a name as ClickHouse takes it, whatever is in it.
func Quote(name string) string {
	return "`" + strings.NewReplacer("`", "``", `\`, `\\`).Replace(name) + "`"
}

// QuoteText quotes a text for use in a statement.
func QuoteText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
