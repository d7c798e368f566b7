package faults_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/braidhq/braid/testing/faults"
	"github.com/braidhq/braid/testing/shop"
)

func TestMain(m *testing.M) { faults.Main(m) }

var kills = flag.Int("kills", killsByEnvironment(), "how often TestKill kills its process; BRAID_KILLS says so, too")

func killsByEnvironment() int {
	if n, err := strconv.Atoi(os.Getenv("BRAID_KILLS")); err == nil {
		return n
	}
	if os.Getenv("BRAID_LONG") != "" {
		return 50
	}
	return 5
}

// people returns a stream of people who begin now.
func people(n int) *shop.People {
	return shop.NewPeople(shop.PeopleOptions{People: n, Start: time.Now().UnixMilli(), Seed: 1})
}

// TestKill kills "braid run" with SIGKILL at random moments under load, also while it starts, again and again on one directory. In the
// end every acknowledged event counts exactly once, and so does every effect. To kill it more often:
//
//	go test ./testing/faults -run TestKill -v -timeout 30m -args -kills=50
func TestKill(t *testing.T) {
	begin := time.Now()
	place := faults.NewPlace(t, "")
	crowd := people(400)
	load := faults.StartLoader(crowd, 3, 40)
	random := rand.New(rand.NewPCG(rand.Uint64(), 1))
	starting := 0
	for range *kills {
		process := place.Start()
		if random.IntN(4) == 0 { // at some moment of the start, or shortly after
			starting++
			time.Sleep(time.Duration(random.IntN(1_000)) * time.Millisecond)
			process.Kill()
			continue
		}
		process.Reachable()
		load.Target(process)
		enough := load.Acknowledged() + random.IntN(3_000)
		for deadline := time.Now().Add(faults.Patience); load.Acknowledged() < enough; time.Sleep(time.Millisecond) {
			if !process.Running() || time.Now().After(deadline) {
				t.Fatalf("braid took only %d events; its log:\n%s", load.Acknowledged(), process.Log())
			}
		}
		process.Kill()
	}
	process := place.Start().Ready()
	load.Target(process)
	settle(t, place, process, load, crowd)
	t.Logf("%d kills (%d of them at a start), %d events acknowledged, %d requests repeated, %v",
		*kills, starting, load.Acknowledged(), load.Repeated(), time.Since(begin).Round(time.Second))
}

// settle ends the load and checks that everything counts exactly once. The process is stopped.
func settle(t *testing.T, place *faults.Place, process *faults.Process, load *faults.Loader, crowd *shop.People) {
	t.Helper()
	if err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	if sent := crowd.Sent(); load.Acknowledged() != sent {
		t.Fatalf("%d events were acknowledged of %d", load.Acknowledged(), sent)
	}
	process.Applied()
	process.Agrees(crowd)
	process.Published(crowd)
	process.Stop()
	brokers, end := place.Broker()
	effects := place.Audit(brokers)
	end()
	if err := effects.People(crowd.Profiles()); err != nil {
		t.Error(err)
	}
	if len(effects.Rejected) > 0 {
		t.Errorf("%d events were rejected, the first %+v", len(effects.Rejected), effects.Rejected[0])
	}
	t.Logf("%d profiles, %d effects and %d of them again", crowd.Profiles(), effects.Records-effects.Repeated, effects.Repeated)
}
