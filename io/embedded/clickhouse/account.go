package clickhouse

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// UserBraid may do everything in the databases of Braid.
	UserBraid = "braid"
	// UserAnalyst may read them.
	UserAnalyst = "analyst"
	// DatabasePrefix is how the names of the databases begin that these users reach.
	DatabasePrefix = "braid_"
)

const (
	usersFile  = "users.xml"
	configFile = "config.xml"
)

// account is a user with a password.
type account struct{ name, password string }

// accounts are the users that come in from outside.
type accounts struct{ braid, analyst account }

// loadAccounts reads the passwords of a directory, or makes them. Each lies in a file that its owner alone may read.
func loadAccounts(dir string) (a accounts, err error) {
	for name, to := range map[string]*account{UserBraid: &a.braid, UserAnalyst: &a.analyst} {
		to.name = name
		path := PasswordFile(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			data = []byte(rand.Text())
			err = writeFile(path, data)
		}
		if err != nil {
			return accounts{}, fmt.Errorf("embedded ClickHouse: %w", err)
		}
		if to.password = strings.TrimSpace(string(data)); to.password == "" {
			return accounts{}, fmt.Errorf("embedded ClickHouse: %s is empty; remove it, and a new password is made", path)
		}
	}
	return a, nil
}

// PasswordFile returns the file that holds the password of a user of the server in a directory.
func PasswordFile(dir, user string) string { return filepath.Join(dir, user+".password") }

// writeFile writes a file that only its owner may read, whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// configure writes the server's own configuration.
func (s *Server) configure() error {
	for name, text := range map[string]string{
		usersFile:  usersXML(s.accounts),
		configFile: configXML(s.options),
	} {
		if err := writeFile(filepath.Join(s.options.Dir, name), []byte(text)); err != nil {
			return fmt.Errorf("embedded ClickHouse: %w", err)
		}
	}
	return nil
}

// usersXML declares the users. The default user is who the child itself works as; it must have no password.
func usersXML(a accounts) string {
	all := DatabasePrefix + "*.*"
	user := func(name, password, profile string, grants ...string) string {
		secret := "<no_password/>"
		if password != "" {
			sum := sha256.Sum256([]byte(password))
			secret = "<password_sha256_hex>" + hex.EncodeToString(sum[:]) + "</password_sha256_hex>"
		}
		var queries strings.Builder
		for _, g := range grants {
			queries.WriteString("<query>GRANT " + g + "</query>")
		}
		return fmt.Sprintf("<%[1]s>%[2]s<networks><ip>127.0.0.1</ip></networks><profile>%[3]s</profile><quota>default</quota><grants>%[4]s</grants></%[1]s>",
			name, secret, profile, queries.String())
	}
	return "<clickhouse><users>" +
		user("default", "", "default", "SYSTEM ON *.*", "READ ON FILE", "FILE ON *.*", "CREATE TEMPORARY TABLE ON *.*") +
		user(a.braid.name, a.braid.password, "default",
			"SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, DROP DATABASE, DROP TABLE, DROP VIEW, DROP DICTIONARY, TRUNCATE, OPTIMIZE, SHOW, dictGet ON "+all,
			"TABLE ENGINE ON MergeTree", "TABLE ENGINE ON ReplacingMergeTree", "TABLE ENGINE ON AggregatingMergeTree", "TABLE ENGINE ON SummingMergeTree", "TABLE ENGINE ON Memory",
			"CREATE TEMPORARY TABLE ON *.*", "SELECT ON system.*", "KILL QUERY ON *.*") +
		user(a.analyst.name, a.analyst.password, "analyst", "SELECT, SHOW, dictGet ON "+all) +
		"</users><profiles><default><max_execution_time>0</max_execution_time></default>" +
		"<analyst><readonly>2</readonly><max_execution_time>300</max_execution_time></analyst></profiles><quotas><default/></quotas></clickhouse>"
}

// configXML bounds what the server takes, and keeps it from writing logs about itself into tables.
func configXML(o Options) string {
	var users strings.Builder
	xml.EscapeText(&users, []byte(filepath.Join(o.Dir, usersFile)))
	return fmt.Sprintf(`<clickhouse>
<users_config>%s</users_config>
<max_server_memory_usage>%d</max_server_memory_usage>
<mark_cache_size>%d</mark_cache_size>
<max_concurrent_queries>64</max_concurrent_queries>
<max_connections>256</max_connections>
<logger><level>warning</level><console>1</console></logger>
</clickhouse>
`, users.String(), o.MemoryBytes, min(o.MemoryBytes/8, 128<<20))
}
