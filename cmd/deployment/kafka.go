package deployment

import (
	"log/slog"
	"time"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/strict"
)

// Kafka says where the stream is: in a broker of this process, or in a cluster. In YAML it is the word embedded or a map.
type Kafka struct {
	// Embedded is the broker in this process; nil when Brokers are given; default &Embedded{Durability: process}.
	Embedded *Embedded `yaml:"embedded" json:"embedded,omitempty"`
	// Brokers are the seed brokers of a cluster, HOST:PORT; default none.
	Brokers []Address `yaml:"brokers" json:"brokers,omitempty" jsonschema:"minItems=1,description=Seed brokers of a cluster\\, HOST:PORT."`
	// TLS encrypts the connections to Brokers; default off.
	TLS *TLS `yaml:"tls" json:"tls,omitempty" jsonschema:"description=Encrypts the connections to the brokers; {} trusts the system's certificate authorities."`
	// SASL authenticates at Brokers; default off.
	SASL *SASL `yaml:"sasl" json:"sasl,omitempty" jsonschema:"description=Authenticates at the brokers."`
	// Partitions of the topics that grow with traffic, when they are created; default 4.
	Partitions int32 `yaml:"partitions" json:"partitions,omitempty" jsonschema:"minimum=1,maximum=10000,default=4,description=Partitions of the topics that grow with traffic\\, when they are created."`
	// Replicas of each partition, when topics are created in a cluster; default 0: what the cluster does by default.
	Replicas int16 `yaml:"replicas" json:"replicas,omitempty" jsonschema:"minimum=1,description=Replicas of each partition\\, when topics are created in a cluster. Default: what the cluster does by default."`
	// Retention says how much of the stream is kept.
	Retention Retention `yaml:"retention" json:"retention,omitzero" jsonschema:"description=How much of each topic is kept; whichever ends first."`
}

// Address is HOST:PORT.
type Address string

// UnmarshalStrict reads a text. Within braces YAML takes HOST:PORT without quotes for a map.
func (a *Address) UnmarshalStrict(v strict.Value) {
	if v.Kind() == strict.Map {
		v.Report("put it in quotes: 'kafka1:9092'", "HOST:PORT is needed, found a map")
		return
	}
	v.Decode((*string)(a))
}

// Embedded is the broker in this process.
type Embedded struct {
	// Port on 127.0.0.1; default 0, a free one.
	Port int `yaml:"port" json:"port,omitempty" jsonschema:"minimum=0,maximum=65535,default=0,description=Port on 127.0.0.1; 0 takes a free one."`
	// Durability is what an acknowledged record survives: process or fsync; default process.
	Durability embedded.Durability `yaml:"durability" json:"durability,omitempty" jsonschema:"enum=process,enum=fsync,default=process,description=What an acknowledged record survives: process: a killed process; fsync: a power cut too."`
}

// TLS says how to encrypt connections.
type TLS struct {
	// CAFile holds PEM certificates of the authorities to trust; default the system's.
	CAFile string `yaml:"ca_file" json:"ca_file,omitempty" jsonschema:"description=PEM certificates of the authorities to trust. Default: the system's."`
	// CertFile holds the client's own PEM certificate; default none.
	CertFile string `yaml:"cert_file" json:"cert_file,omitempty" jsonschema:"description=The client's own PEM certificate."`
	// KeyFile holds the key of CertFile.
	KeyFile string `yaml:"key_file" json:"key_file,omitempty" jsonschema:"description=The key of the client's certificate."`
	// ServerName is what the broker's certificate is checked for; default the host dialled.
	ServerName string `yaml:"server_name" json:"server_name,omitempty" jsonschema:"description=What the broker's certificate is checked for. Default: the host dialled."`
}

// SASL says how to authenticate.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; required.
	Mechanism kafkaio.Mechanism `yaml:"mechanism" json:"mechanism" jsonschema:"required,enum=PLAIN,enum=SCRAM-SHA-256,enum=SCRAM-SHA-512"`
	// User is the name to authenticate as; required.
	User string `yaml:"user" json:"user" jsonschema:"required,minLength=1"`
	// Password is a reference to the environment; required.
	Password strict.Secret `yaml:"password" json:"password" jsonschema:"required,description=A reference to the environment\\, such as ${KAFKA_PASSWORD}."`
}

// Retention says how much of each topic is kept: what is beyond either bound goes.
type Retention struct {
	// Age is how long, as 7d or forever; default 7d. Rejected events stay four times as long.
	Age Age `yaml:"age" json:"age,omitzero" jsonschema:"default=7d,description=How long records stay\\, or forever. Rejected events stay four times as long."`
	// Size is how much, as 4GiB or unlimited; default 0: 4 GiB for events, 1 GiB for the others.
	Size Size `yaml:"size" json:"size,omitzero" jsonschema:"description=How much of a topic stays\\, or unlimited. Default: 4GiB of events\\, 1GiB of each other topic."`
}

func defaultKafka() Kafka {
	return Kafka{Embedded: defaultEmbedded(), Partitions: 4, Retention: Retention{Age: Age(7 * 24 * time.Hour)}}
}

func defaultEmbedded() *Embedded { return &Embedded{Durability: embedded.DurabilityProcess} }

// UnmarshalStrict reads the word or the map.
func (k *Kafka) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Null:
	case strict.Text:
		if v.Text() != "embedded" {
			v.Report("kafka: embedded, or kafka: {brokers: ['HOST:PORT']}", "%q is no way to reach Kafka", v.Text())
		}
	case strict.Map:
		type fields Kafka
		f := fields(*k)
		f.Embedded = nil
		v.Decode(&f)
		*k = Kafka(f)
		if k.Embedded == nil && k.Brokers == nil {
			k.Embedded = defaultEmbedded()
		}
		if k.Embedded != nil && k.Embedded.Durability == "" {
			k.Embedded.Durability = embedded.DurabilityProcess
		}
	default:
		v.Report("kafka: embedded, or kafka: {brokers: ['HOST:PORT']}", "the word embedded or a map is needed, found %s", v.Kind())
	}
}

// Client returns how to reach the cluster at Brokers, or instead at the given brokers, such as the addresses of the embedded one.
// It holds references to secrets, not their values.
func (c *Config) Client(brokers ...string) kafkaio.Client {
	client := kafkaio.Client{Brokers: brokers, ClientID: "braid"}
	if len(brokers) == 0 {
		for _, b := range c.Kafka.Brokers {
			client.Brokers = append(client.Brokers, string(b))
		}
	}
	if t := c.Kafka.TLS; t != nil {
		client.TLS = &kafkaio.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName}
	}
	if s := c.Kafka.SASL; s != nil {
		client.SASL = &kafkaio.SASL{Mechanism: s.Mechanism, User: s.User, Password: "${" + s.Password.Name() + "}"}
	}
	return client
}

// Broker returns how to run the embedded broker. It is only meaningful when Kafka.Embedded is set.
func (c *Config) Broker(logger *slog.Logger) embedded.Options {
	o := embedded.Options{Dir: c.KafkaDir(), Logger: logger}
	if e := c.Kafka.Embedded; e != nil {
		o.Port, o.Durability = e.Port, e.Durability
	}
	return o
}

// TopicOptions returns the sizes of the topics.
func (c *Config) TopicOptions() topics.Options {
	return topics.Options{
		Partitions: c.Kafka.Partitions, Replicas: c.Kafka.Replicas,
		RetentionBytes: int64(c.Kafka.Retention.Size), RetentionAge: time.Duration(c.Kafka.Retention.Age),
	}
}
