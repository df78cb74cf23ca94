package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// stage is one world and what of it outlives a sequence.
type stage struct {
	w         *harness.World
	agents    map[string]*harness.Agent
	plain     map[string]*harness.Caller // the agents as callers
	customers map[string]*harness.Caller
	until     time.Time // the callers' tokens are good
	gone      string    // an instance of long ago
	left      map[string]bool
	made      int
}

const quota = `
registered_users_per_organisation:
- {id: "` + harness.Organisation + `", any_user: true, max_allowed_instances: 1000000}
`

func newStage(t *testing.T) *stage {
	w := harness.New(t, harness.ManualAgents(), harness.QuotaList(quota), harness.Set("reconciler-repeat-interval", "100ms"),
		harness.Clusters(harness.Cluster{ID: harness.ClusterOne, Units: -1}, harness.Cluster{ID: harness.ClusterTwo, Units: -1}))
	// Clusters of one file are as old as each other; this says which is the first.
	w.Exec("UPDATE clusters SET created_at = created_at - interval '1 second' WHERE cluster_id = ?", harness.ClusterOne)
	s := &stage{w: w, agents: map[string]*harness.Agent{}, left: map[string]bool{}}
	for _, c := range clusterIDs() {
		s.agents[c] = w.Agent(c)
	}
	return s
}

// login gets tokens that are good for a sequence.
func (s *stage) login() {
	if time.Until(s.until) > time.Minute {
		return
	}
	s.plain, s.customers, s.until = map[string]*harness.Caller{}, map[string]*harness.Caller{}, time.Now().Add(4*time.Minute)
	for _, c := range clusterIDs() {
		s.plain[c] = s.w.AsAgent(c)
	}
	for _, user := range []string{harness.Alice, harness.Bob, harness.Carol} {
		s.customers[user] = s.w.As(user)
	}
}

func within(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return do(ctx)
}

func (s *stage) put(from string, body map[string]agent.Status) error {
	return within(func(ctx context.Context) error { return s.agents[from].Put(ctx, body) })
}

// call asks as a customer, and gives the status and the body.
func (s *stage) call(user, method, path string, body any) (int, []byte, error) {
	var reply harness.Response
	err := within(func(ctx context.Context) (err error) {
		reply, err = s.customers[user].Try(ctx, method, path, body)
		return err
	})
	return reply.Status, reply.Body, err
}

// look reads an instance's row and history as the model would have it, and tells
// whether everything has happened that happens by itself.
func (s *stage) look(id string) (seen instance, row kafka.Kafka, quiet bool) {
	row = s.w.Row(id)
	seen = instance{
		id: id, name: row.Name, status: string(row.Status), cluster: row.ClusterID, owner: row.Owner, reauth: row.ReauthenticationEnabled,
		synced: row.RoutesCreated, admin: row.AdminAPIServerURL, detail: row.FailedDetail, class: string(row.ReportedClass),
		kafka: row.ActualKafkaVersion, strimzi: row.ActualStrimziVersion, ibp: row.ActualKafkaIBPVersion,
		failure: row.FailedReason == "Kafka reported as failed from the data plane" && row.FailedCode == kafka.FailedOnDataPlane,
	}
	for _, r := range row.Routes {
		seen.routes += r.Domain + ">" + r.Router + " "
	}
	for c := range row.PlacementExclusions {
		seen.excluded = append(seen.excluded, c)
	}
	for name, is := range map[string]bool{"strimzi": row.StrimziUpgrading, "kafka": row.KafkaUpgrading, "ibp": row.KafkaIBPUpgrading} {
		if is {
			seen.upgrade += name
		}
	}
	if row.ReportedAt != nil {
		seen.at = *row.ReportedAt
	}
	if row.Status == kafka.Deleting || row.DeletedAt != nil {
		seen.status = ending
	}
	seen.events = slices.DeleteFunc(s.w.History(id), func(event string) bool { return event == "erased" })
	unplaced := row.Status == kafka.Provisioning && row.ClusterID == ""
	quiet = row.Status != kafka.Accepted && row.Status != kafka.Preparing && // a loop is at it
		!(row.Status == kafka.Deprovision && row.BootstrapServerHost == "") &&
		!(row.Routes != nil && !row.RoutesCreated && !row.Status.InDeletion()) && (!unplaced || row.Attempts > 0)
	return seen, row, quiet
}

// hurry makes an instance that waits for room look for it now.
func (s *stage) hurry(id string) {
	s.w.Exec("UPDATE kafka_requests SET next_attempt_at = now(), attempts = 0 WHERE id = ? AND status = 'provisioning' AND cluster_id = ''", id)
}

// shown is an instance on an agent's list, as far as the model knows it.
type shown struct {
	id, placement, owner, host string
	deleted, suspended, reauth bool
	secret                     bool // of its canary
}

// listing is what an agent was given last.
type listing struct {
	tag    string
	body   []byte
	wanted []shown
}

// list asks for a cluster's list and holds it against what must be on it. same
// says that nothing can have changed since the last time.
func (s *stage) list(t *rapid.T, cluster string, last listing, wanted []shown, same bool) listing {
	caller := s.plain[cluster]
	if last.tag != "" {
		caller = caller.With("If-None-Match", last.tag)
	}
	reply, err := caller.Try(context.Background(), http.MethodGet, "/agent-clusters/"+cluster+"/kafkas", nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	now := listing{tag: strings.Trim(reply.Header.Get("ETag"), `"`), body: reply.Body, wanted: wanted}
	if now.tag != "" {
		now.tag = reply.Header.Get("ETag")
	}
	equal := slices.Equal(wanted, last.wanted)
	if reply.Status == http.StatusNotModified {
		if !equal {
			t.Fatalf("the list of %s did not change, but it should show %+v, not %+v", cluster, wanted, last.wanted)
		}
		return last
	}
	if reply.Status != http.StatusOK {
		t.Fatalf("the list of %s: %d %s", cluster, reply.Status, reply.Body)
	}
	if same && last.tag != "" {
		t.Fatalf("the list of %s has the tag %s after %s, though nothing changed", cluster, now.tag, last.tag)
	}
	if equal && last.body != nil && !bytes.Equal(now.body, last.body) {
		t.Fatalf("the list of %s has other bytes, though it shows the same:\n%s\n%s", cluster, last.body, now.body)
	}
	if got := s.read(t, now.body); !slices.Equal(got, wanted) {
		t.Fatalf("the list of %s shows\n%+v, not\n%+v", cluster, got, wanted)
	}
	return now
}

// read gives what a list shows of this sequence's instances.
func (s *stage) read(t *rapid.T, body []byte) []shown {
	var list struct{ Items []agent.ManagedKafka }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("reading a list: %v", err)
	}
	var out []shown
	for _, k := range list.Items {
		if s.left[k.ID] {
			continue
		}
		one := shown{
			id: k.ID, placement: k.Metadata.Annotations["bf2.org/placementId"], host: k.Spec.Endpoint.BootstrapServerHost,
			deleted: k.Spec.Deleted, suspended: k.Metadata.Labels["bf2.org/suspended"] == "true",
			reauth: k.Spec.OAuth.MaximumSessionLifetime > 0,
			secret: len(k.Spec.ServiceAccounts) == 1 && k.Spec.ServiceAccounts[0].Password.Reveal() != "",
		}
		if len(k.Spec.Owners) > 0 {
			one.owner = k.Spec.Owners[0]
		}
		if v := k.Spec.Versions; v.Kafka == "" || v.Strimzi == "" || len(k.Spec.ServiceAccounts) != 1 {
			t.Fatalf("the list shows half an instance: %+v", k)
		}
		out = append(out, one)
	}
	return out
}

// name gives a name that no instance had before.
func (s *stage) name() string {
	s.made++
	return fmt.Sprintf("k%d", s.made)
}
