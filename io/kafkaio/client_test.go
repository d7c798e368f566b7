package kafkaio

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestClientValidate(t *testing.T) {
	ok := []string{"localhost:9092"}
	tests := []struct {
		name string
		c    Client
		want string // part of the error; "": valid
	}{
		{"plain", Client{Brokers: ok}, ""},
		{"all", Client{Brokers: ok, TLS: &TLS{CertFile: "c", KeyFile: "k"}, SASL: &SASL{Mechanism: ScramSHA512, User: "u"}}, ""},
		{"no brokers", Client{}, "no brokers"},
		{"bad broker", Client{Brokers: []string{"a:b:c"}}, "a:b:c"},
		{"half a certificate", Client{Brokers: ok, TLS: &TLS{CertFile: "c"}}, "key_file"},
		{"mechanism", Client{Brokers: ok, SASL: &SASL{Mechanism: "X", User: "u"}}, "SCRAM-SHA-256"},
		{"no user", Client{Brokers: ok, SASL: &SASL{Mechanism: Plain}}, "user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.c.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadOptionsAreValidated(t *testing.T) {
	c := Client{Brokers: []string{"localhost:9092"}}
	for name, opts := range map[string][]ReadOption{
		"PartitionGroups": {PartitionGroups(0)}, "MaxRecords": {MaxRecords(-1)}, "PollWait": {PollWait(0)}, "needs a Group": {StartAt(GroupOffsets())},
		"Fallback": {Fallback(GroupOffsets())}, "FetchBytes": {FetchBytes(0, 1)}, "Refresh": {Refresh(0)},
	} {
		if _, err := newReadConfig(c, []string{"a"}, opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, topics := range [][]string{nil, {""}, {"a", "a"}} {
		if _, err := newReadConfig(c, topics, nil); err == nil {
			t.Errorf("topics %q are accepted", topics)
		}
	}
}

func TestSASL(t *testing.T) {
	t.Setenv("KAFKAIO_PASSWORD", "secret")
	_, c := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "secret"), kfake.Superuser("SCRAM-SHA-256", "u", "secret"),
		kfake.Superuser("SCRAM-SHA-512", "u", "secret"), kfake.SeedTopics(1, "a"))
	for _, m := range []Mechanism{Plain, ScramSHA256, ScramSHA512} {
		c.SASL = &SASL{Mechanism: m, User: "u", Password: "${KAFKAIO_PASSWORD}"}
		produce(t, kclient(t, c), "a", 1, 0, 1)
	}
	d := newDriver(t, c, []string{"a"}, Bounded())
	d.until(func() bool { return false })
	if len(d.got) != 3 {
		t.Errorf("%d records", len(d.got))
	}
	c.SASL = &SASL{Mechanism: Plain, User: "u", Password: "${KAFKAIO_NOT_SET}"}
	if err := newDriver(t, c, []string{"a"}).failure(); !strings.Contains(err.Error(), "KAFKAIO_NOT_SET") {
		t.Errorf("got %v", err)
	}
}

func TestMissingRightsAreAnError(t *testing.T) {
	k, c := cluster(t, kfake.SeedTopics(1, "a"))
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "a", Err: kerr.TopicAuthorizationFailed, Count: -1})
	if err := newDriver(t, c, []string{"a"}).failure(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("got %v", err)
	}
}
