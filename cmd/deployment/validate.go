package deployment

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/store/postgres"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/braidhq/braid/transforms/update"
)

// validator checks a decoded file and points each mistake to its place.
type validator struct {
	doc    *strict.Document
	config *Config
}

func (v *validator) validate() {
	if v.config.Data == "" && !v.doc.Failed("data") {
		v.doc.Report("data", "leave it out for ./braid-data", "the data directory is empty")
	}
	v.checkListen()
	v.checkKafka()
	v.checkCluster()
	v.checkTopics()
	v.checkRunner()
	v.checkStore()
	v.checkClickHouse()
	v.checkArchive()
	v.checkPrepare()
	if i := v.config.Epochs.Interval.Std(); i < time.Second && !v.doc.Failed("epochs") {
		v.doc.Report("epochs.interval", "1m is usual", "an epoch lasts at least 1s")
	}
}

func (v *validator) within(path strict.Path, n, low, high int64) {
	if (n < low || n > high) && !v.doc.Failed(path) {
		v.doc.Report(path, "", "%d is not within %d and %d", n, low, high)
	}
}

func (v *validator) checkListen() {
	if v.doc.Failed("listen") {
		return
	}
	host, ok := address(v.config.Listen, 0)
	switch {
	case !ok:
		v.doc.Report("listen", "for example 127.0.0.1:8080", "%q is not HOST:PORT", v.config.Listen)
	case !v.config.ListenBeyondLoopback && !loopback(host):
		v.doc.Report("listen", "use 127.0.0.1, or set listen_beyond_loopback: true on purpose", "other machines reach %q", v.config.Listen)
	}
}

// address takes HOST:PORT apart; the port is a number of at least least.
func address(text string, least int) (host string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	n, numeric := strconv.Atoi(port)
	return host, err == nil && numeric == nil && n >= least && n <= 65535
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (v *validator) checkKafka() {
	e := v.config.Kafka.Embedded
	if e == nil {
		return
	}
	v.within("kafka.embedded.port", int64(e.Port), 0, 65535)
	if d := e.Durability; d != embedded.DurabilityProcess && d != embedded.DurabilityFsync && !v.doc.Failed("kafka.embedded.durability") {
		v.doc.Report("kafka.embedded.durability", "process survives a killed process, fsync a power cut too", "unknown durability %q", string(d))
	}
	for _, field := range []string{"tls", "sasl", "replicas"} {
		if path := strict.Path("kafka").Key(field); v.doc.Has(path) {
			v.doc.ReportKey(path, "it goes with brokers", "the embedded broker takes no %s", field)
		}
	}
}

func (v *validator) checkCluster() {
	k := v.config.Kafka
	if v.doc.Has("kafka.embedded") && v.doc.Has("kafka.brokers") {
		v.doc.ReportKey("kafka.embedded", "leave one of them out", "embedded and brokers exclude each other")
		return
	}
	if v.doc.Has("kafka.brokers") && len(k.Brokers) == 0 && !v.doc.Failed("kafka.brokers") {
		v.doc.Report("kafka.brokers", "for example ['kafka1:9092', 'kafka2:9092']", "no broker is named")
	}
	for i, broker := range k.Brokers {
		path := strict.Path("kafka.brokers").Index(i)
		if host, ok := address(string(broker), 1); (!ok || host == "") && !v.doc.Failed(path) {
			v.doc.Report(path, "for example kafka1:9092", "%q is not HOST:PORT", broker)
		}
	}
	v.checkTLS(k.TLS)
	v.checkSASL(k.SASL)
}

func (v *validator) checkTLS(t *TLS) {
	if t == nil {
		if v.doc.Has("kafka.tls") {
			v.doc.Report("kafka.tls", "tls: {} trusts the system's certificate authorities; leave it out for plain connections", "nothing is here")
		}
		return
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		v.doc.Report("kafka.tls", "name the other one too", "cert_file and key_file go together")
	}
	for _, f := range []struct{ name, value string }{
		{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}, {"server_name", t.ServerName},
	} {
		v.noReference(strict.Path("kafka.tls").Key(f.name), f.value)
	}
}

func (v *validator) checkSASL(s *SASL) {
	if s == nil {
		if v.doc.Has("kafka.sasl") {
			v.doc.Report("kafka.sasl", "sasl: {mechanism: SCRAM-SHA-512, user: braid, password: '${KAFKA_PASSWORD}'}", "nothing is here")
		}
		return
	}
	known := []kafkaio.Mechanism{kafkaio.Plain, kafkaio.ScramSHA256, kafkaio.ScramSHA512}
	if !slices.Contains(known, s.Mechanism) && !v.doc.Failed("kafka.sasl.mechanism") {
		v.doc.Report("kafka.sasl.mechanism", "known are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", "unknown mechanism %q", string(s.Mechanism))
	}
	if s.User == "" && !v.doc.Failed("kafka.sasl.user") {
		v.doc.Report("kafka.sasl.user", "", "the user is missing")
	}
	v.noReference("kafka.sasl.user", s.User)
	if !s.Password.IsSet() && !v.doc.Failed("kafka.sasl.password") {
		v.doc.Report("kafka.sasl.password", "write ${NAME} and put it in the environment", "the password is missing")
	}
}

// noReference refuses what looks like a reference where none is resolved.
func (v *validator) noReference(path strict.Path, text string) {
	if strings.Contains(text, "${") && !v.doc.Failed(path) {
		v.doc.Report(path, "write the value itself", "only secrets refer to the environment")
	}
}

func (v *validator) checkTopics() {
	k := v.config.Kafka
	v.within("kafka.partitions", int64(k.Partitions), 1, topics.MaxPartitions)
	if v.doc.Has("kafka.replicas") {
		v.within("kafka.replicas", int64(k.Replicas), 1, 1000)
	}
	if k.Retention.Age != -1 && time.Duration(k.Retention.Age) < time.Minute && !v.doc.Failed("kafka.retention.age") {
		v.doc.Report("kafka.retention.age", "7d is usual", "records stay for at least 1m")
	}
	if v.doc.Has("kafka.retention.size") && k.Retention.Size != -1 && k.Retention.Size < 16<<20 && !v.doc.Failed("kafka.retention.size") {
		v.doc.Report("kafka.retention.size", "4GiB is usual", "a topic keeps at least 16MiB")
	}
}

func (v *validator) checkRunner() {
	d := v.config.Runner.Direct
	v.within("runner.direct.workers", int64(d.Workers), 1, 256)
	v.within("runner.direct.max_records", int64(d.MaxRecords), 1, 100_000)
	if (d.MaxDelay.Std() < time.Millisecond || d.MaxDelay.Std() > time.Minute) && !v.doc.Failed("runner.direct.max_delay") {
		v.doc.Report("runner.direct.max_delay", "5ms is usual", "%s is not within 1ms and 1m", d.MaxDelay)
	}
}

func (v *validator) checkStore() {
	if v.doc.Failed("store") {
		return
	}
	u, err := url.Parse(storeText(v.config.Store))
	known := update.StoreSchemes()
	switch {
	case err != nil || u.Scheme == "": // the text may hold a password: it is not repeated
		v.doc.Report("store", "for example 'pebble:'", "this is no URL")
	case hasPassword(u):
		v.doc.Report("store", "leave the password out of the URL", "a secret does not belong in a file")
	case !slices.Contains(known, u.Scheme):
		hint := strict.Suggest(u.Scheme, known)
		if hint == "" {
			hint = "known are: " + strings.Join(known, ", ")
		}
		v.doc.Report("store", hint, "unknown kind of store %q", u.Scheme)
	case u.Scheme == "pebble":
		full, err := url.Parse(v.config.StoreURL())
		if err == nil {
			_, _, err = pebble.ParseURL(full)
		}
		if err != nil || u.Host != "" || u.Fragment != "" {
			v.doc.Report("store", "'pebble:', or 'pebble:DIRECTORY?durability=fsync&memtable=64MiB&cache=128MiB'", "%s", storeProblem(err))
		}
	case u.Scheme == "postgres" || u.Scheme == "postgresql":
		if _, err := postgres.ParseURL(u); err != nil {
			v.doc.Report("store", "for example 'postgres://USER@HOST/DATABASE?sslmode=verify-full'", "%s", strings.TrimPrefix(err.Error(), "store URL: "))
		}
	case u.Scheme == "memory" && u.Opaque+u.Path == "":
		v.doc.Report("store", "for example memory:trial", "a store in memory needs a name")
	}
}

func hasPassword(u *url.URL) bool {
	_, ok := u.User.Password()
	return ok
}

func storeProblem(err error) string {
	if err == nil {
		return "a directory is needed after pebble:, not a host"
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, `": `); ok && strings.HasPrefix(text, "store URL") {
		return rest
	}
	return text
}
