package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kas-fleet/kas-fleet-manager/test/broker"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	kafka := func(placement string, deleted, paused bool) ManagedKafka {
		k := ManagedKafka{ID: "one", Metadata: Metadata{Annotations: map[string]string{annotationPlacement: placement}}}
		k.Spec.Deleted = deleted
		if paused {
			k.Metadata.Annotations[annotationPause] = "true"
		}
		return k
	}
	here := func(deleted bool, p phase) *instance { return &instance{kafka: kafka("p1", deleted, false), phase: p} }
	cases := map[string]struct {
		wanted ManagedKafka
		here   *instance
		want   verdict
	}{
		"new":                          {kafka("p1", false, false), nil, create},
		"new and paused":               {kafka("p1", false, true), nil, leaveAlone},
		"deleted and never here":       {kafka("p1", true, false), nil, reportGone},
		"same":                         {kafka("p1", false, false), here(false, running), leaveAlone},
		"deleted":                      {kafka("p1", true, false), here(false, running), update},
		"deleted while paused":         {kafka("p1", true, true), here(false, running), markDeleted},
		"paused":                       {kafka("p1", false, true), here(false, running), leaveAlone},
		"brought back":                 {kafka("p1", false, false), here(true, removing), leaveAlone},
		"other placement, rejected":    {kafka("p2", false, false), here(false, rejected), remove},
		"other placement, deleted":     {kafka("p2", false, false), here(true, removed), remove},
		"other placement, still alive": {kafka("p2", false, false), here(false, running), leaveAlone},
	}
	for name, c := range cases {
		require.Equal(t, c.want, judge(c.wanted, c.here), name)
	}
	require.Equal(t, leaveAlone, judgeAbsent(here(false, running)))
	spare := here(false, running)
	spare.kafka.Metadata.Labels = map[string]string{labelDeployment: reserved}
	require.Equal(t, remove, judgeAbsent(spare))
}

func TestFatesAndRecovery(t *testing.T) {
	t.Parallel()
	cases := map[Fate]struct{ first, then string }{
		Stuck:        {"False/Installing", "True"},
		Broken:       {"False/Error", "True"},
		Rejected:     {"False/Rejected", "False/Rejected"},
		RejectedFull: {"False/Rejected", "False/Rejected"},
	}
	require.Len(t, cases, len(Fates()))
	for fate, c := range cases {
		m := newManager(t)
		a := newAgent(m, nil)
		a.SetFate(fate, "one")
		m.wants(wish{id: "one", placement: "p1"}.String(), wish{id: "two", placement: "p1"}.String())
		rounds(t, a, 2)
		sent := m.sent("one")
		require.Equal(t, c.first, sent[len(sent)-1], fate)
		require.Contains(t, m.sent("two"), "True", fate)
		require.NoError(t, a.Resync(t.Context()))
		message := m.last()["one"].Conditions[0].Message
		require.Equal(t, fate == RejectedFull, message == "Cluster has insufficient resources", fate)
		a.SetFate(Healthy, "one")
		rounds(t, a, 1)
		sent = m.sent("one")
		require.Equal(t, c.then, sent[len(sent)-1], fate)
	}
}

func TestAFullClusterRejects(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.settings = `{"spec":{"observability":{"accessToken":""},"capacity":{"standard":{"maxNodes":1}},"net":{"private":false}}}`
	a := newAgent(m, nil)
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	m.wants(wish{id: "one", placement: "p1"}.String(), wish{id: "two", placement: "p1"}.String())
	rounds(t, a, 1)
	require.Contains(t, m.sent("one"), "True")
	require.Equal(t, []string{"False/Rejected"}, m.sent("two"))
}

func TestUnknownVersionsAreAnError(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a := newAgent(m, nil)
	m.wants(wish{id: "one", placement: "p1", kafka: "9.9.9"}.String())
	rounds(t, a, 1)
	require.Equal(t, []string{"False/Error"}, m.sent("one"))
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	require.Equal(t, []string{"False/Error", "True"}, m.sent("one"))
}

func TestATroubledDataPlaneIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	failures := 2
	a := newAgent(m, func(c *Config) {
		c.DataPlane.Create = func(context.Context, ManagedKafka) error {
			if failures--; failures >= 0 {
				return errors.New("no disk")
			}
			return nil
		}
	})
	m.wants(wish{id: "one", placement: "p1"}.String())
	run(t, a)
	eventually(t, "ready", func() bool { return slices.Contains(m.sent("one"), "True") })
	require.Equal(t, []string{"False/Installing", "False/Error", "True"}, m.story("one"))
}

func TestManners(t *testing.T) {
	t.Parallel()
	checks := map[Manner]func(is *require.Assertions, m *manager){
		Silent: func(is *require.Assertions, m *manager) {
			is.Empty(m.reports)
			is.Empty(m.clusters)
		},
		Stale: func(is *require.Assertions, m *manager) {
			is.Equal([]string{"False/Installing", "True", "False/Installing"}, m.sent("one"))
			n := len(m.reports)
			is.Greater(m.reports[n-2]["one"].UpdatedTimestamp, m.reports[n-1]["one"].UpdatedTimestamp)
		},
		Duplicate: func(is *require.Assertions, m *manager) {
			is.Len(m.bodies, 4)
			is.Equal(m.bodies[2], m.bodies[3])
		},
		Foreign: func(is *require.Assertions, m *manager) {
			is.Equal("True", m.last()["theirs"].Conditions[0].Status)
			is.NotEmpty(m.last()["theirs"].Routes)
			is.Contains(m.sent("one"), "True")
		},
		Contradictory: func(is *require.Assertions, m *manager) {
			is.Greater(len(m.last()["one"].Conditions), 2)
			is.Equal([]string{"False/Installing", "True"}, m.sent("one"))
		},
		Huge: func(is *require.Assertions, m *manager) {
			is.Greater(len(m.bodies[0]), 900_000)
			is.Contains(m.sent("one"), "True")
		},
	}
	require.Len(t, checks, len(Manners()))
	for manner, check := range checks {
		t.Run(string(manner), func(t *testing.T) {
			t.Parallel()
			m := newManager(t)
			a := newAgent(m, nil)
			a.SetManner(manner, "theirs")
			m.wants(wish{id: "one", placement: "p1"}.String())
			rounds(t, a, 1)
			check(require.New(t), m)
			m.with(func() { m.reports, m.bodies = nil, nil })
			a.SetManner(Honest)
			require.NoError(t, a.Resync(t.Context()))
			require.Len(t, m.bodies, 1)
			require.Equal(t, []string{"True"}, m.sent("one"))
		})
	}
}

func TestRealKafkas(t *testing.T) {
	t.Parallel()
	authority, err := broker.NewAuthority()
	require.NoError(t, err)
	router, err := broker.StartRouter("127.0.0.1:0", authority, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, router.Close()) })
	m := newManager(t)
	a := newAgent(m, func(c *Config) { c.DataPlane = RealKafkas(router, c.Brokers, nil) })
	m.wants(wish{id: "one", placement: "p1"}.String())
	rounds(t, a, 1)
	require.Contains(t, m.sent("one"), "True")

	dialer := broker.Dialer{Roots: authority.Pool(), Resolve: func(context.Context, string) (string, error) { return router.Addr(), nil }}
	ping := func() error {
		client, err := kgo.NewClient(kgo.SeedBrokers("one.kafka.sandbox.test:443"), kgo.Dialer(dialer.DialContext))
		require.NoError(t, err)
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return client.Ping(ctx)
	}
	require.NoError(t, ping())
	m.wants(wish{id: "one", placement: "p1", deleted: true}.String())
	rounds(t, a, 1)
	require.Contains(t, m.sent("one"), "False/Deleted")
	require.Error(t, ping())
}
