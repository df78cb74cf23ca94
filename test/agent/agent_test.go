package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const (
	clusterID = "1sandbox0000000000000000000000c1"
	strimzi   = "strimzi-cluster-operator.v0.23.0-0"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is a fleet manager that answers what it is told and keeps what it is sent.
type manager struct {
	url string

	mu       sync.Mutex
	settings string
	kafkas   string // the items of the list
	etag     string
	down     bool
	revoked  map[string]bool // tokens
	tokens   int
	life     int // of a token, in seconds
	tags     []string
	reports  []map[string]Status
	bodies   []string
	clusters []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{settings: `{"spec":{"observability":{"accessToken":""},"net":{"private":false}}}`, life: 300, revoked: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", m.grant)
	base := "/api/kafkas_mgmt/v1/agent-clusters/" + clusterID
	mux.HandleFunc("GET "+base, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, m.settings) })
	mux.HandleFunc("GET "+base+"/kafkas", m.list)
	mux.HandleFunc("PUT "+base+"/kafkas/status", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		report := map[string]Status{}
		_ = json.Unmarshal(body, &report)
		m.bodies, m.reports = append(m.bodies, string(body)), append(m.reports, report)
	})
	mux.HandleFunc("PUT "+base+"/status", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.clusters = append(m.clusters, string(body))
		w.WriteHeader(http.StatusNoContent)
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if r.URL.Path != "/token" && (token == "" || m.revoked[token]) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

func (m *manager) grant(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_id") != "agent-one" || r.FormValue("client_secret") != "hush" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m.tokens++
	_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":%d}`, m.tokens, m.life)
}

func (m *manager) list(w http.ResponseWriter, r *http.Request) {
	m.tags = append(m.tags, r.Header.Get("If-None-Match"))
	switch {
	case m.down:
		w.WriteHeader(http.StatusInternalServerError)
	case m.etag != "" && r.Header.Get("If-None-Match") == m.etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", m.etag)
		_, _ = io.WriteString(w, `{"kind":"ManagedKafkaList","items":[`+m.kafkas+`]}`)
	}
}

func (m *manager) with(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

// wants makes the list.
func (m *manager) wants(kafkas ...string) { m.with(func() { m.kafkas = strings.Join(kafkas, ",") }) }

// statuses gives the reports on an instance in the order of arrival.
func (m *manager) statuses(id string) []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Status
	for _, report := range m.reports {
		if s, ok := report[id]; ok && len(s.Conditions) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// sent gives the Ready conditions reported on an instance, in order, and repeats once.
func (m *manager) sent(id string) []string { return ready(m.statuses(id)) }

// story is sent in the order of the agent's own time: the loops' reports may overtake each other.
func (m *manager) story(id string) []string {
	all := m.statuses(id)
	slices.SortStableFunc(all, func(x, y Status) int { return strings.Compare(x.UpdatedTimestamp, y.UpdatedTimestamp) })
	return ready(all)
}

func ready(all []Status) []string {
	var texts []string
	for _, s := range all {
		texts = append(texts, strings.TrimSuffix(s.Conditions[0].Status+"/"+s.Conditions[0].Reason, "/"))
	}
	return slices.Compact(texts)
}

// last gives the newest report, nil if there is none.
func (m *manager) last() map[string]Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.reports) == 0 {
		return nil
	}
	return m.reports[len(m.reports)-1]
}

// wish is one item of the list.
type wish struct {
	id, placement, labels, annotations string
	deleted                            bool
	kafka                              string
}

func (w wish) String() string {
	if w.kafka == "" {
		w.kafka = "2.7.0"
	}
	annotations := pairs("bf2.org/id=" + w.id + ",bf2.org/placementId=" + w.placement + "," + w.annotations)
	labels := pairs("bf2.org/kafkaInstanceProfileType=standard,bf2.org/kafkaInstanceProfileQuotaConsumed=1,bf2.org/suspended=false," + w.labels)
	return fmt.Sprintf(`{"id":%[1]q,"kind":"ManagedKafka",
		"metadata":{"name":"name-%[1]s","namespace":"kafka-%[1]s","annotations":%[2]s,"labels":%[3]s},
		"spec":{
			"capacity":{"ingressPerSec":"30Mi","egressPerSec":"30Mi","maxPartitions":1000},
			"oauth":{"maximumSessionLifetime":0},
			"endpoint":{"bootstrapServerHost":"%[1]s.kafka.sandbox.test"},
			"versions":{"kafka":%[4]q,"strimzi":%[5]q,"kafkaIbp":"2.7"},
			"deleted":%[6]t}}`, w.id, annotations, labels, w.kafka, strimzi, w.deleted)
}

// pairs makes a JSON object from name=value,…; a later value wins.
func pairs(text string) string {
	object := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			object[name] = value
		}
	}
	encoded, _ := json.Marshal(object)
	return string(encoded)
}

func newAgent(m *manager, change func(*Config)) *Agent {
	c := Config{
		BaseURL: m.url, ClusterID: clusterID, ClusterDNS: "apps.mk-sandbox1.example.test",
		TokenURL: m.url + "/token", ClientID: "agent-one", ClientSecret: "hush",
		Poll: 10 * time.Millisecond, Resync: 25 * time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	return New(c)
}

// run starts the loops and ends them with the test.
func run(t *testing.T, a *Agent) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// rounds polls and works step by step, without the loops.
func rounds(t *testing.T, a *Agent, n int) {
	t.Helper()
	t.Cleanup(a.client.http.CloseIdleConnections)
	for range n {
		require.NoError(t, a.Poll(t.Context()))
		a.Operate(t.Context())
		a.Operate(t.Context())
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 15*time.Second, 2*time.Millisecond, what)
}

// plane is a data plane that counts what exists.
type plane struct {
	mu    sync.Mutex
	parts map[string]int
}

func (p *plane) dataPlane() DataPlane {
	add := func(n int) func(context.Context, ManagedKafka) error {
		return func(_ context.Context, k ManagedKafka) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.parts[k.ID+"/"+k.placement()] += n
			return nil
		}
	}
	return DataPlane{Create: add(1), Delete: add(-1)}
}

func (p *plane) all() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.parts)
}

func TestLifeOfAnInstance(t *testing.T) {
	t.Parallel()
	m, p := newManager(t), &plane{parts: map[string]int{}}
	a := newAgent(m, func(c *Config) {
		c.DataPlane, c.InstallDelay, c.DeleteDelay = p.dataPlane(), 20*time.Millisecond, 20*time.Millisecond
	})
	m.wants(wish{id: "one", placement: "p1"}.String())
	run(t, a)
	eventually(t, "cluster status", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.clusters) > 1 })
	eventually(t, "ready", func() bool { return slices.Contains(m.sent("one"), "True") })
	require.Equal(t, []string{"False/Installing", "True"}, m.story("one"))
	require.Equal(t, map[string]int{"one/p1": 1}, p.all())

	m.wants(wish{id: "one", placement: "p1", labels: "bf2.org/suspended=true"}.String())
	eventually(t, "suspended", func() bool { return slices.Contains(m.sent("one"), "False/Suspended") })
	require.NotEmpty(t, m.last()["one"].Routes)

	m.wants(wish{id: "one", placement: "p1", deleted: true}.String())
	eventually(t, "deleted", func() bool { return slices.Contains(m.sent("one"), "False/Deleted") })
	require.Equal(t, []string{"False/Installing", "True", "False/Suspended", "Unknown/Deleted", "False/Deleted"}, m.story("one"))
	require.Equal(t, map[string]int{"one/p1": 0}, p.all())

	m.wants()
	eventually(t, "forgotten", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.instances) == 0 })
}

func TestReadyReportOnTheWire(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a := newAgent(m, func(c *Config) { c.Brokers = 1 })
	m.wants(wish{id: "one", placement: "p1"}.String())
	t.Cleanup(a.client.http.CloseIdleConnections)
	require.NoError(t, a.ReportReady(t.Context(), "one"))
	require.Error(t, a.ReportReady(t.Context(), "two"))
	at := m.last()["one"].UpdatedTimestamp
	_, err := time.Parse(time.RFC3339Nano, at)
	require.NoError(t, err)
	require.JSONEq(t, `{"one":{
		"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"`+at+`"}],
		"versions":{"kafka":"2.7.0","strimzi":"`+strimzi+`","kafkaIbp":"2.7"},
		"capacity":{"ingressPerSec":"30Mi","egressPerSec":"30Mi","maxPartitions":1000},
		"routes":[
			{"name":"admin-server","prefix":"admin-server","router":"kas.mk-sandbox1.example.test"},
			{"name":"bootstrap","prefix":"","router":"kas.mk-sandbox1.example.test"},
			{"name":"broker-0","prefix":"broker-0","router":"kas-us-east-1a.mk-sandbox1.example.test"}],
		"adminServerURI":"https://admin-server-one.kafka.sandbox.test",
		"updatedTimestamp":"`+at+`"}}`, m.bodies[0])

	require.NoError(t, a.Put(t.Context(), map[string]Status{"one": {}}))
	require.JSONEq(t, `{"one":{}}`, m.bodies[1])
}

func TestClusterStatusOnTheWire(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a := newAgent(m, func(c *Config) { c.NodesPerUnit = map[string]int{"standard": 3}; c.Strimzi = DefaultStrimzi()[:1] })
	m.settings = `{"spec":{"observability":{"accessToken":""},"capacity":{"standard":{"maxNodes":10},"developer":{}},"net":{"private":false}}}`
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	require.NoError(t, a.PushClusterStatus(t.Context(), false))
	var got ClusterStatus
	require.NoError(t, json.Unmarshal([]byte(m.clusters[len(m.clusters)-1]), &got))
	require.Equal(t, "False", got.Conditions[0].Status)
	require.NoError(t, a.PushClusterStatus(t.Context(), true))
	got = ClusterStatus{}
	require.NoError(t, json.Unmarshal([]byte(m.clusters[len(m.clusters)-1]), &got))
	require.Equal(t, ClusterStatus{
		Conditions: []Condition{{Type: "Ready", Status: "True", LastTransitionTime: got.UpdatedTimestamp}},
		Strimzi: []Strimzi{{
			Ready: true, Version: strimzi, KafkaVersions: []string{"2.7.0", "2.8.0"}, KafkaIbpVersions: []string{"2.7", "2.8"},
		}},
		Capacity:         map[string]Units{"standard": {MaxUnits: 3, RemainingUnits: 2}},
		UpdatedTimestamp: got.UpdatedTimestamp,
	}, got)
}

func TestDeletedAndNeverHereIsAnswered(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a := newAgent(m, nil)
	m.wants(wish{id: "one", placement: "p1", deleted: true}.String())
	rounds(t, a, 1)
	require.Equal(t, []string{"False/Deleted"}, m.sent("one"))
	require.Empty(t, a.instances)
}

func TestNothingIsLostToABadList(t *testing.T) {
	t.Parallel()
	m, p := newManager(t), &plane{parts: map[string]int{}}
	a := newAgent(m, func(c *Config) { c.DataPlane = p.dataPlane() })
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	m.wants()
	rounds(t, a, 2)
	m.with(func() { m.down = true })
	var refused *Refused
	require.ErrorAs(t, a.Poll(t.Context()), &refused)
	require.Equal(t, http.StatusInternalServerError, refused.Status)
	require.Equal(t, map[string]int{"one/p1": 1}, p.all())
	require.NoError(t, a.Resync(t.Context()))
	require.Equal(t, "True", m.last()["one"].Conditions[0].Status)
}

func TestNewPlacement(t *testing.T) {
	t.Parallel()
	m, p := newManager(t), &plane{parts: map[string]int{}}
	a := newAgent(m, func(c *Config) { c.DataPlane = p.dataPlane() })
	a.SetFate(Rejected)
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	require.Equal(t, []string{"False/Rejected"}, m.sent("one"))
	a.SetFate(Healthy)
	rounds(t, a, 1)
	require.Equal(t, []string{"False/Rejected"}, m.sent("one"), "a rejection is final under its placement")
	m.wants(wish{id: "one", placement: "p2"}.String())
	rounds(t, a, 2)
	require.Equal(t, []string{"False/Rejected", "False/Installing", "True"}, m.sent("one"))
	m.wants(wish{id: "one", placement: "p3"}.String())
	rounds(t, a, 2)
	require.Equal(t, map[string]int{"one/p2": 1}, p.all(), "a living instance does not give way")
}

func TestConditionalPoll(t *testing.T) {
	t.Parallel()
	for _, conditional := range []bool{false, true} {
		m := newManager(t)
		m.etag = `"v1"`
		m.wants(wish{id: "one", placement: "p1"}.String())
		a := newAgent(m, func(c *Config) { c.Conditional = conditional })
		rounds(t, a, 3)
		want := []string{"", "", ""}
		if conditional {
			want = []string{"", `"v1"`, `"v1"`}
		}
		require.Equal(t, want, m.tags)
		require.Len(t, a.instances, 1)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a := newAgent(m, nil)
	rounds(t, a, 2)
	require.Equal(t, 1, m.tokens, "a token is kept")
	m.with(func() { m.revoked["token-1"], m.life = true, 5 })
	require.Error(t, a.Poll(t.Context()), "a refused token costs one call")
	rounds(t, a, 1)
	require.Greater(t, m.tokens, 2, "a token that is about to end is replaced")

	wrong := newAgent(m, func(c *Config) { c.ClientSecret = "guess" })
	t.Cleanup(wrong.client.http.CloseIdleConnections)
	var refused *Refused
	require.ErrorAs(t, wrong.Poll(t.Context()), &refused)
	require.NotContains(t, refused.Error(), "guess")
}

func TestFromParameters(t *testing.T) {
	t.Parallel()
	p := map[string]string{
		"control-plane-url": "http://localhost:8000", "cluster-id": clusterID,
		"sso-auth-server-url": "http://localhost:8180/auth/realms/rhoas", "sso-client-id": "agent-one", "sso-secret": "hush",
		"poll-interval": "15s", "resync-interval": "60s",
	}
	c, err := FromParameters(p)
	require.NoError(t, err)
	require.Equal(t, Config{
		BaseURL: "http://localhost:8000", ClusterID: clusterID,
		TokenURL: "http://localhost:8180/auth/realms/rhoas/protocol/openid-connect/token",
		ClientID: "agent-one", ClientSecret: "hush", Poll: 15 * time.Second, Resync: time.Minute,
	}, c)
	for name := range p {
		less := maps.Clone(p)
		delete(less, name)
		_, err := FromParameters(less)
		require.Error(t, err, name)
	}
}
