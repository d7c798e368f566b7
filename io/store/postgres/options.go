package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say which table to open, as ParseURL reads them.
type Options struct {
	// URL is where the database is, without a password, and with the parameters that the driver knows, such as sslmode,
	// sslrootcert, host (also a directory with a socket), target_session_attrs and pool_max_conns.
	URL string
	// PasswordVariable names the environment variable that holds the password; default "": PGPASSWORD or the password file.
	PasswordVariable string
	// Table begins the names of all that the store keeps in the database; default "braid".
	Table string
}

const (
	defaultTable = "braid"
	// password and table are the parameters of the URL that the driver is not told.
	passwordParameter = "password"
	tableParameter    = "table"
)

var (
	reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
)

// ParseURL reads postgres://USER@HOST/DATABASE?table=NAME&password=${VARIABLE} and what else the driver knows. The error of a URL that
// holds a password does not repeat it.
func ParseURL(u *url.URL) (Options, error) {
	if _, ok := u.User.Password(); ok {
		return Options{}, errPassword
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Options{}, errors.New("store URL: the parameters are malformed")
	}
	o := Options{Table: defaultTable}
	if query.Has(passwordParameter) {
		name := reference.FindStringSubmatch(query.Get(passwordParameter))
		if name == nil || len(query[passwordParameter]) > 1 {
			return Options{}, errPassword
		}
		o.PasswordVariable = name[1]
		query.Del(passwordParameter)
	}
	if query.Has("sslpassword") {
		return Options{}, errors.New("store URL: sslpassword is a secret, which does not belong here: use a key file without one")
	}
	if query.Has(tableParameter) {
		o.Table = query.Get(tableParameter)
		query.Del(tableParameter)
	}
	rest := *u
	rest.RawQuery = query.Encode()
	o.URL = rest.String()
	if u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" || u.Fragment != "" {
		return Options{}, fmt.Errorf("store %s: write postgres://USER@HOST/DATABASE", o.URL)
	}
	if !tableName.MatchString(o.Table) {
		return Options{}, fmt.Errorf("store %s: table %q: small letters, digits and _ are allowed, at most 40", o.URL, o.Table)
	}
	if _, err := pgxpool.ParseConfig(o.URL); err != nil {
		return Options{}, fmt.Errorf("store %s: %w", o.URL, err)
	}
	return o, nil
}

var errPassword = errors.New("store URL: a password does not belong here: write password=${VARIABLE} among the parameters, or set PGPASSWORD")

// config returns what the driver needs to know.
func (o Options) config() (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	if o.PasswordVariable != "" {
		password, ok := os.LookupEnv(o.PasswordVariable)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s, which should hold the password, is not set", o.PasswordVariable)
		}
		c.Password = password
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.ValidateConnect == nil { // a standby would answer with the rows of some time ago
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "braid"
	}
	return config, nil
}
