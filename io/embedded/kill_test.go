package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/embedded"
)

// serveDir makes this test binary a broker on the directory it names, until standard input ends.
const serveDir = "BRAID_TEST_SERVE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveDir); dir != "" {
		serve(dir)
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) {
	b, err := embedded.StartBroker(context.Background(), embedded.Options{Dir: dir, RetentionInterval: 10 * time.Millisecond})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("address", b.Addresses()[0])
	bufio.NewReader(os.Stdin).ReadByte()
	b.Close()
}

// child starts a broker process on dir and returns it with the word and the text it printed first.
func child(t *testing.T, dir string) (*exec.Cmd, string, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	return cmd, word, text
}

func TestAnotherProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd, _, _ := child(t, dir)
	_, err := embedded.StartBroker(t.Context(), embedded.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
		t.Fatalf("error %v does not name process %d", err, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	start(t, embedded.Options{Dir: dir}) // a killed holder holds nothing
}

type acknowledged struct {
	partition int32
	offset    int64
}

// TestKillLosesNothingAcknowledged kills a broker process while it acknowledges, again and again on one directory.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	const partitions, rounds = 3, 6
	dir := t.TempDir()
	acked := map[acknowledged]string{}
	committed := int64(-1)
	for round := range rounds {
		cmd, word, address := child(t, dir)
		if word != "address" {
			t.Fatal(word, address)
		}
		c := client(t, []string{address}, kgo.ProducerLinger(0))
		admin := kadm.NewClient(c)
		if round == 0 {
			createTopic(t, c, "events", partitions, map[string]string{"segment.bytes": "20000", "retention.bytes": "-1", "retention.ms": "-1"})
		}
		verify(t, address, acked)
		if committed >= 0 {
			got, err := admin.FetchOffsets(t.Context(), "realtime")
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := got.Lookup("events", 0); o.At < committed {
				t.Errorf("round %d: committed offset %d, acknowledged was %d", round, o.At, committed)
			}
		}

		var mu sync.Mutex
		ctx, cancel := context.WithCancel(t.Context())
		target := 200 + rand.IntN(1500)
		enough := make(chan struct{})
		count := 0
		for n := 0; n < 3*target; n++ {
			r := &kgo.Record{Topic: "events", Partition: int32(n % partitions), Value: fmt.Appendf(nil, "round %d record %d", round, n)}
			c.Produce(ctx, r, func(r *kgo.Record, err error) {
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				acked[acknowledged{r.Partition, r.Offset}] = string(r.Value)
				if count++; count == target {
					close(enough)
				}
			})
			if n == target/2 {
				offsets := kadm.Offsets{}
				offsets.AddOffset("events", 0, int64(round*100+1), -1)
				if answers, err := admin.CommitOffsets(ctx, "realtime", offsets); err == nil && answers.Error() == nil {
					committed = int64(round*100 + 1)
				}
			}
		}
		<-enough
		cmd.Process.Kill()
		cmd.Wait()
		cancel()
		c.Close()
	}
	_, word, address := child(t, dir)
	if word != "address" {
		t.Fatal(word, address)
	}
	verify(t, address, acked)
	t.Logf("%d acknowledged records survived %d kills", len(acked), rounds)
}

func verify(t *testing.T, address string, acked map[acknowledged]string) {
	t.Helper()
	found := map[acknowledged]string{}
	for partition := range int32(3) {
		for _, line := range readAll(t, []string{address}, "events", partition) {
			var offset int64
			fmt.Sscan(line, &offset)
			_, value, _ := strings.Cut(line, "=")
			found[acknowledged{partition, offset}] = value
		}
	}
	for at, value := range acked {
		if found[at] != value {
			t.Fatalf("acknowledged %q at %v, found %q there", value, at, found[at])
		}
	}
}
