package topics_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/topics"
)

func plan(t *testing.T, options topics.Options) []topics.Spec {
	t.Helper()
	specs, err := topics.Plan("retail", options)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func admin(t *testing.T) *kadm.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(20*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func TestPlan(t *testing.T) {
	specs := plan(t, topics.Options{Partitions: 8, RetentionBytes: 8 << 30, RetentionAge: 24 * time.Hour})
	want := map[string]topics.Spec{
		"braid.retail.events": {Partitions: 8, Settings: map[string]string{
			"cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": "4194304",
			"retention.bytes": "1073741824", "retention.ms": "86400000", "segment.bytes": "67108864",
		}},
		"braid.retail.epochs": {Partitions: 1, Settings: map[string]string{
			"cleanup.policy": "compact", "compression.type": "producer", "max.message.bytes": "4194304", "segment.bytes": "1048576",
		}},
		"braid.retail.rejected": {Partitions: 8, Settings: map[string]string{
			"cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": "4194304",
			"retention.bytes": "1073741824", "retention.ms": "345600000", "segment.bytes": "67108864",
		}},
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.Name)
		if w, ok := want[spec.Name]; ok {
			if diff := cmp.Diff(w.Settings, spec.Settings); diff != "" || w.Partitions != spec.Partitions || spec.Replicas != -1 {
				t.Errorf("%s: %d partitions, %d replicas, settings (-want +got):\n%s", spec.Name, spec.Partitions, spec.Replicas, diff)
			}
		}
		if spec.Purpose == "" || spec.Name != topics.Name("retail", spec.Kind) {
			t.Errorf("%+v lacks a purpose or has the wrong name", spec)
		}
	}
	wantNames := strings.Fields("braid.retail.events braid.retail.epochs braid.retail.config braid.retail.profiles braid.retail.identity-changes braid.retail.audience-changes braid.retail.activations braid.retail.deliveries braid.retail.rejected")
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Error(diff)
	}
	if spec, err := topics.Find(specs, topics.Rejected); err != nil || spec.Kind != topics.Rejected {
		t.Errorf("Find: %v, %v", spec, err)
	}
	if _, err := topics.Find(nil, topics.Rejected); err == nil {
		t.Error("found a topic in an empty plan")
	}
}

func TestPlanRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		segment string
		options topics.Options
	}{
		"empty segment":      {"", topics.Options{}},
		"dot in segment":     {"a.b", topics.Options{}},
		"upper case":         {"Retail", topics.Options{}},
		"long segment":       {strings.Repeat("a", 64), topics.Options{}},
		"partitions":         {"retail", topics.Options{Partitions: -1}},
		"too many":           {"retail", topics.Options{Partitions: 10_001}},
		"replicas":           {"retail", topics.Options{Replicas: -2}},
		"retention bytes":    {"retail", topics.Options{RetentionBytes: -2}},
		"retention age":      {"retail", topics.Options{RetentionAge: -time.Hour}},
		"record bytes small": {"retail", topics.Options{MaxRecordBytes: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := topics.Plan(tc.segment, tc.options); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestPlanKeepsEverythingWhenTold(t *testing.T) {
	for _, spec := range plan(t, topics.Options{RetentionBytes: -1, RetentionAge: -1}) {
		if spec.Settings["cleanup.policy"] == "delete" && (spec.Settings["retention.bytes"] != "-1" || spec.Settings["retention.ms"] != "-1") {
			t.Errorf("%s: %v", spec.Name, spec.Settings)
		}
	}
}

func TestEnsure(t *testing.T) {
	admin := admin(t)
	specs := plan(t, topics.Options{Partitions: 2})
	before, err := topics.Compare(t.Context(), admin, specs)
	if err != nil {
		t.Fatal(err)
	}
	if len(before.Missing) != len(specs) || len(before.Differences) != 0 {
		t.Errorf("empty cluster: %+v", before)
	}
	first, err := topics.Ensure(t.Context(), admin, specs)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Created) != len(specs) || len(first.Missing) != 0 || len(first.Differences) != 0 {
		t.Errorf("first: %+v", first)
	}
	second, err := topics.Ensure(t.Context(), admin, specs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(topics.Report{}, second); diff != "" {
		t.Errorf("second: %s", diff)
	}
}

func TestEnsureReportsDifferencesAndLeavesThemAlone(t *testing.T) {
	admin := admin(t)
	specs := plan(t, topics.Options{Partitions: 2})
	day := "86400000"
	if _, err := admin.CreateTopic(t.Context(), 3, 1, map[string]*string{"retention.ms": &day, "max.message.bytes": new("4194304"), "retention.bytes": new("2147483648"), "segment.bytes": new("67108864")}, "braid.retail.events"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		report, err := topics.Ensure(t.Context(), admin, specs)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range report.Differences {
			got = append(got, d.Topic+" "+d.Setting+" want "+d.Want+" have "+d.Have)
			if d.Fix == "" {
				t.Errorf("%v does not say what to do", d)
			}
		}
		want := []string{
			"braid.retail.events partitions want 2 have 3",
			"braid.retail.events retention.ms want 604800000 have 86400000",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPrint(t *testing.T) {
	specs := plan(t, topics.Options{})[:3]
	report := &topics.Report{
		Created:     []string{specs[0].Name},
		Missing:     []string{specs[1].Name},
		Differences: []topics.Difference{{Topic: specs[2].Name, Setting: "partitions", Want: "1", Have: "2", Fix: "do this"}},
	}
	var table bytes.Buffer
	if err := topics.WriteTable(&table, specs, report); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"braid.retail.events  created  4           default   cleanup.policy=delete",
		"braid.retail.epochs  missing  1",
		"braid.retail.config  differs  1",
		"topic braid.retail.config: partitions is 2, planned is 1; do this\n",
	} {
		if !strings.Contains(table.String(), part) {
			t.Errorf("no %q in\n%s", part, table.String())
		}
	}
	table.Reset()
	if err := topics.WriteTable(&table, specs, nil); err != nil || strings.Contains(table.String(), "STATE") {
		t.Errorf("plan alone: %v\n%s", err, table.String())
	}
	var text bytes.Buffer
	if err := topics.WriteJSON(&text, specs, report); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Topics []topics.Spec
		Report topics.Report
	}
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(specs, back.Topics); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(*report, back.Report); diff != "" {
		t.Error(diff)
	}
}
