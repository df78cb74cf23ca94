package invariant_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/test/invariant"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// world is a small fleet in which all is well, until a test breaks it.
type world struct {
	t        *testing.T // whose turn it is
	owner    *testing.T
	url      string
	fleet    invariant.Fleet
	out      invariant.Outside
	replies  []invariant.Reply
	replicas map[string]*db.DB
}

const (
	leading   = "10.0.0.1:8000"
	following = "10.0.0.2:8000"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, owner: t, url: postgres.URL(t), replicas: map[string]*db.DB{}}
	w.fleet.DB = postgres.OpenURL(t, w.url)
	w.fleet.Outside = func() invariant.Outside { return w.out }
	w.fleet.Replies = func() []invariant.Reply { return w.replies }
	w.fleet.Secrets = func(text string) []string {
		if strings.Contains(text, "hush") {
			return []string{"a secret"}
		}
		return nil
	}
	require.NoError(t, invariant.Watch(t.Context(), w.fleet.DB))
	w.heal()
	return w
}

// heal makes all well again, save for what is no row.
func (w *world) heal() {
	w.t.Helper()
	w.exec("TRUNCATE kafka_requests, kafka_events, external_resources, clusters, watch.breaches, watch.terms, watch.leader_writes, watch.cluster_statuses")
	w.exec("ALTER TABLE leader_leases DISABLE TRIGGER watch")
	w.exec("UPDATE leader_leases SET leader = 'host " + leading + "', epoch = 1, expires = now() + interval '1 hour' WHERE lease_type = 'kafka_reconciler'")
	w.exec("ALTER TABLE leader_leases ENABLE TRIGGER watch")
	w.exec(`INSERT INTO clusters (id, created_at, updated_at, cloud_provider, region, cluster_id, status, status_changed_at, next_attempt_at, capacity_limit, capacity_used)
		VALUES ('c', now(), now(), 'aws', 'us-east-1', 'c1', 'ready', now(), now(), 5, 2)`)
	w.kafka("one", "ready")
	w.kafka("two", "ready")
	w.intent("kafka", "one", "sso_client", "canary-one", "created")
	w.fleet.Rest, w.fleet.Log, w.fleet.Limits = true, "", invariant.Limits{}
	w.out = invariant.Outside{Clients: []string{"canary-one"}}
	w.replies = []invariant.Reply{{Verb: invariant.Created, ID: "one", Granted: true}, {Verb: invariant.Created, ID: "refused"}}
}

func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.fleet.DB.Gorm(w.t.Context()).Exec(statement, args...).Error)
}

// kafka adds an instance with the history that leads to its status.
func (w *world) kafka(id, status string) {
	w.t.Helper()
	w.exec(`INSERT INTO kafka_requests (id, created_at, updated_at, name, status, status_changed_at, cloud_provider, region, cluster_id, owner, organisation_id,
		instance_type, size_id, capacity_consumed, quota_consumed, quota_type, max_data_retention_size, bootstrap_server_host, placement_id, next_attempt_at)
		VALUES (?, now(), now(), ?, ?, now(), 'aws', 'us-east-1', 'c1', 'alice', 'org', 'standard', 'x1', 1, 1, 'list', '1Gi', ?, 'p', now() + interval '50 years')`,
		id, id, status, id+".example.test")
	from := ""
	for _, step := range []struct{ event, actor, to string }{
		{"created", "user", "accepted"},
		{"placed", "loop", "preparing"},
		{"prepared", "loop", "provisioning"},
		{"became_ready", "agent", "ready"},
		{"delete_asked", "user", "deprovision"},
	} {
		w.as(leading, true, `INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version) VALUES ('`+
			id+`', now(), '`+step.event+`', '`+step.actor+`', '`+from+`', '`+step.to+`', 1)`)
		if from = step.to; from == status {
			return
		}
	}
}

func (w *world) intent(ownerKind, owner, kind, key, state string) {
	w.t.Helper()
	w.exec(`INSERT INTO external_resources (id, created_at, updated_at, owner_kind, owner_id, kind, key, state) VALUES (?, now(), now(), ?, ?, ?, ?, ?)`,
		"intent-"+key, ownerKind, owner, kind, key, state)
}

// as writes as a replica does; fenced, in a transaction of the lease's holder.
func (w *world) as(replica string, fenced bool, statement string) {
	w.t.Helper()
	u, err := url.Parse(w.url)
	require.NoError(w.t, err)
	query := u.Query()
	query.Set("application_name", replica)
	u.RawQuery = query.Encode()
	d := w.replicas[u.String()]
	if d == nil {
		d = postgres.OpenURL(w.owner, u.String())
		w.replicas[u.String()] = d
	}
	var fence []db.Statement
	if fenced {
		fence = append(fence, db.OpenLockShared("lease:kafka_reconciler"))
	}
	require.NoError(w.t, d.TxOpened(w.t.Context(), fence, func(tx db.Tx) error { return tx.Gorm().Exec(statement).Error }))
}

func (w *world) check() []string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	found, err := invariant.Check(ctx, w.fleet)
	require.NoError(w.t, err)
	var ids []string
	for _, v := range found {
		ids = append(ids, v.ID)
		w.t.Log(v)
	}
	return ids
}

func TestASoundFleetHasNoViolations(t *testing.T) {
	t.Parallel()
	require.Empty(t, newWorld(t).check())
}

func TestEachCheckBites(t *testing.T) { //nolint:tparallel // its parts take turns
	t.Parallel()
	w := newWorld(t) // making a database takes longer than all of these
	for name, c := range map[string]struct {
		id   string
		harm func(w *world)
	}{
		"a client in nobody's ledger":  {"I1", func(w *world) { w.out.Clients = append(w.out.Clients, "canary-lost") }},
		"a record in nobody's ledger":  {"I1", func(w *world) { w.out.Records = append(w.out.Records, "lost.example.test") }},
		"a client of a closed intent":  {"I1", func(w *world) { w.exec("UPDATE external_resources SET state = 'gone'") }},
		"a client that is not outside": {"I1", func(w *world) { w.out.Clients = nil }},
		"an intent of an erased row": {"I1", func(w *world) {
			w.intent("kafka", "nobody", "dns_record", "lost.example.test", "created")
			w.out.Records = []string{"lost.example.test"}
		}},
		"quota in nobody's ledger": {"I1", func(w *world) { w.out.Subscriptions = []string{"lost"} }},
		"quota that is not outside": {"I1", func(w *world) {
			w.intent("kafka", "one", "ams_subscription", "one", "created")
		}},
		"quota that was never reserved": {"I1", func(w *world) { w.exec("UPDATE kafka_requests SET quota_type = 'ams' WHERE id = 'one'") }},
		"quota reserved twice": {"I2", func(w *world) {
			w.intent("kafka", "one", "ams_subscription", "one", "created")
			w.out.Subscriptions = []string{"one", "one"}
		}},
		"two clients of one key": {"I2", func(w *world) { w.out.Clients = append(w.out.Clients, "canary-one") }},
		"a lost order": {"I3", func(w *world) {
			w.replies = append(w.replies, invariant.Reply{Verb: invariant.Created, ID: "three", Granted: true})
		}},
		"a lost deletion": {"I3", func(w *world) {
			w.replies = append(w.replies, invariant.Reply{Verb: invariant.Deleted, ID: "one", Granted: true})
		}},
		"a lost account": {"I3", func(w *world) {
			w.replies = append(w.replies, invariant.Reply{Verb: invariant.AccountCreated, ID: "srvc-acct-1", Granted: true})
		}},
		"an account that was given out and not kept": {"I3", func(w *world) {
			w.intent("service_account", "org", "sso_client", "srvc-acct-1", "wanted")
			w.replies = append(w.replies, invariant.Reply{Verb: invariant.AccountCreated, ID: "srvc-acct-1", Granted: true})
		}},
		"a deletion undone": {"I3", func(w *world) {
			w.kafka("three", "deprovision")
			w.exec("UPDATE clusters SET capacity_used = 3")
			w.exec("UPDATE kafka_requests SET status = 'ready', version = 2 WHERE id = 'three'")
		}},
		"a status past the history":  {"I4", func(w *world) { w.exec("UPDATE kafka_requests SET status = 'failed', version = 2 WHERE id = 'one'") }},
		"a status without a version": {"I4", func(w *world) { w.exec("UPDATE kafka_requests SET status = 'failed' WHERE id = 'one'") }},
		"an unheard-of transition": {"I4", func(w *world) {
			w.as(leading, true, `INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version) VALUES ('one', now(), 'placed', 'loop', 'ready', 'ready', 2)`)
		}},
		"a transition of a stranger": {"I4", func(w *world) {
			w.exec(`INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version) VALUES ('one', now(), 'became_ready', 'user', 'ready', 'ready', 2)`)
		}},
		"a cluster's unheard-of transition":  {"I4", func(w *world) { w.exec("UPDATE clusters SET status = 'cluster_accepted'") }},
		"a counter that is not the sum":      {"I5", func(w *world) { w.exec("UPDATE clusters SET capacity_used = 1") }},
		"sums of what lives that are others": {"I5", func(w *world) { w.exec("UPDATE kafka_usage SET units = 1") }},
		"instances that are in no sum":       {"I5", func(w *world) { w.exec("DELETE FROM kafka_usage") }},
		"more than a cluster's room":         {"I5", func(w *world) { w.exec("UPDATE clusters SET capacity_limit = 1") }},
		"more than a cluster's room for a moment": {"I5", func(w *world) {
			w.exec("UPDATE clusters SET capacity_used = 6")
			w.exec("UPDATE clusters SET capacity_used = 2")
		}},
		"more than an organisation's quota": {"I5", func(w *world) { w.fleet.Limits.Organisations = map[string]int{"org": 1} }},
		"more than a region's room":         {"I5", func(w *world) { w.fleet.Limits.Regions = map[string]int{"aws/us-east-1": 1} }},
		"a name twice": {"I6", func(w *world) {
			w.exec("DROP INDEX IF EXISTS kafka_requests_name_live")
			w.exec("UPDATE kafka_requests SET name = 'one'")
		}},
		"a host twice": {"I6", func(w *world) {
			w.exec("DROP INDEX IF EXISTS kafka_requests_host_live")
			w.exec("UPDATE kafka_requests SET bootstrap_server_host = 'x'")
		}},
		"a term that begins too early": {"I7", func(w *world) {
			w.exec("UPDATE leader_leases SET term = gen_random_uuid(), epoch = epoch + 1")
		}},
		"a term prolonged after its end": {"I7", func(w *world) {
			w.exec("UPDATE leader_leases SET expires = now() - interval '1 second'")
			w.exec("UPDATE leader_leases SET expires = now() + interval '1 second'")
		}},
		"a term prolonged by another": {"I7", func(w *world) {
			w.as(following, false, "UPDATE leader_leases SET expires = now() + interval '2 hours'")
		}},
		"an epoch given twice": {"I7", func(w *world) {
			w.exec("UPDATE leader_leases SET expires = now() - interval '1 second'")
			w.exec("UPDATE leader_leases SET term = gen_random_uuid(), expires = now() + interval '1 second'")
		}},
		"a write of a leader that is none": {"I7", func(w *world) { w.as(following, true, "UPDATE kafka_requests SET attempts = 1 WHERE id = 'one'") }},
		"a loop that is not fenced": {"I7", func(w *world) {
			w.as(leading, false, `INSERT INTO kafka_events (kafka_id, at, event, actor, from_status, to_status, version) VALUES ('one', now(), 'timed_out', 'loop', 'ready', 'ready', 2)`)
		}},
		"a row that nobody looks at": {"I8", func(w *world) {
			w.kafka("three", "preparing")
			w.exec("UPDATE clusters SET capacity_used = 3")
			w.fleet.Rest = false
		}},
		"a row that did not come to rest": {"I8", func(w *world) {
			w.kafka("three", "preparing")
			w.exec("UPDATE clusters SET capacity_used = 3")
			w.exec("UPDATE kafka_requests SET next_attempt_at = now()")
		}},
		"routes that nobody writes": {"I8", func(w *world) {
			w.exec(`UPDATE kafka_requests SET routes = '[]', routes_due_at = now() + interval '1 hour' WHERE id = 'one'`)
		}},
		"a secret in a row":   {"I12", func(w *world) { w.exec("UPDATE kafka_requests SET last_error = 'hush' WHERE id = 'one'") }},
		"a secret in the log": {"I12", func(w *world) { w.fleet.Log = "password hush" }},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.heal()
			c.harm(w)
			require.Contains(t, w.check(), c.id)
		})
	}
}

func TestWhatIsClosedInDoubtHasItsSweeper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("UPDATE external_resources SET state = 'gone', last_error = 'closed without having been seen created'")
	require.Empty(t, w.check())
	w.exec("UPDATE external_resources SET updated_at = now() - interval '2 hours'")
	require.Contains(t, w.check(), "I1")
}

func TestTheLeaderMayWriteAndHandOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(leading, true, "UPDATE kafka_requests SET attempts = 1 WHERE id = 'one'")
	w.exec("UPDATE leader_leases SET expires = clock_timestamp()")
	w.exec("UPDATE leader_leases SET leader = 'host " + following + "', term = gen_random_uuid(), epoch = epoch + 1, expires = now() + interval '1 hour'")
	w.as(following, true, "UPDATE kafka_requests SET attempts = 2 WHERE id = 'one'")
	w.as(leading, false, "UPDATE kafka_requests SET attempts = 3 WHERE id = 'one'") // as a handler does
	require.Empty(t, w.check())
	var writers int
	require.NoError(t, w.fleet.DB.Gorm(t.Context()).Raw("SELECT count(DISTINCT writer) FROM watch.leader_writes WHERE writer = ANY(ARRAY[?, ?])", leading, following).Scan(&writers).Error)
	require.Equal(t, 2, writers, "the watch saw both")
}
