package upstream

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// weather is what may befall each call, and how often. Less than half of the calls
// pass unharmed.
func weather(target string) []emulator.Fault {
	return []emulator.Fault{
		{Mode: emulator.Before, Status: http.StatusServiceUnavailable, Probability: .20},
		{Mode: emulator.Before, Status: http.StatusTooManyRequests, RetryAfter: 1, Probability: .06},
		{Mode: emulator.After, Status: http.StatusInternalServerError, Probability: .08},
		{Mode: emulator.ResetBefore, Probability: .06},
		{Mode: emulator.ResetAfter, Probability: .06},
		{Mode: emulator.Hang, Delay: 400 * time.Millisecond, Probability: .03},
		{Mode: emulator.HangAfter, Delay: 400 * time.Millisecond, Probability: .04},
		{Mode: emulator.Slow, Delay: 150 * time.Millisecond, Probability: .08},
		{Mode: emulator.Twice, Probability: .05},
		{Mode: emulator.Garbage, Probability: .03},
		{Mode: emulator.Oversize, Probability: .01},
		{Mode: emulator.Redirect, Target: target, Probability: .02},
		{Method: http.MethodGet, Mode: emulator.Lag, Delay: 2 * time.Second, Probability: .30},
	}
}

// storm lets all upstreams fail at once, each by a seed of its own.
func storm(w *harness.World, random *rand.Rand, target string) {
	all := upstreams(w)
	for _, name := range names {
		for _, f := range weather(target) {
			f.Path, f.Seed = all[name].path, random.Int64()
			all[name].Inject(f)
		}
	}
}

// trapped is where redirects lead. Nobody may come.
func trapped(t *testing.T) (url string, visits *atomic.Int64) {
	t.Helper()
	visits = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, visits
}

func TestAllUpstreamsFailAtOnceAndNothingIsLostOrDouble(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 30})
	instances, change := 20, 2*time.Second
	if run.Full {
		instances, change = 200, time.Minute
	}
	for i := range run.Rounds() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			target, visits := trapped(t)
			w := harness.New(t, patient, harness.QuotaList(quota(2*instances)))
			c := &chaos{T: t, w: w, c: w.As(harness.Alice), random: run.Rand(i)}
			calm := c.calmCalls()
			storm(w, c.random, target)
			c.churn(instances)
			c.endure(change)
			heal(w)
			c.stand()
			storm(w, c.random, target)
			c.leave()
			c.endure(change)
			calls, hurt := c.calls()
			heal(w)
			for _, id := range c.ids {
				w.WaitGone(id)
			}
			nothingLeft(t, w)
			require.Zero(t, visits.Load(), "somebody followed a redirect")
			require.Greater(t, hurt, calls/4, "the weather was too good")
			all, _ := c.calls()
			perInstance := float64(all) / float64(len(c.ids))
			t.Logf("%.1f calls for each instance in good weather, %.1f in bad; %d of %d calls were hurt", calm, perInstance, hurt, calls)
			require.LessOrEqual(t, perInstance, calm*stormy, "a storm of retries")
			run.Count("instances", len(c.ids))
			run.Count("calls", calls)
			run.Count("hurt", hurt)
		})
	}
}

// stormy is how many times more calls than in good weather an instance may take in
// bad: half of the calls fail, and a step of several calls begins anew each time.
const stormy = 8

func quota(units int) string {
	return `
registered_users_per_organisation:
- {id: "` + harness.Organisation + `", any_user: true, max_allowed_instances: ` + strconv.Itoa(units) + `}
`
}

// chaos is customers who order and delete in bad weather.
type chaos struct {
	*testing.T
	w      *harness.World
	c      *harness.Caller
	random *rand.Rand
	ids    []string
	gone   map[string]bool // deletion was asked for
}

// calls counts what arrived at all upstreams, and what met a fault.
func (c *chaos) calls() (all, hurt int) {
	for _, u := range upstreams(c.w) {
		for _, entry := range u.JournalOf("", u.path) {
			all++
			if entry.Fault != "" {
				hurt++
			}
		}
	}
	return all, hurt
}

// calmCalls is how many calls one instance takes from order to end when nothing fails.
func (c *chaos) calmCalls() float64 {
	for _, u := range upstreams(c.w) {
		u.ClearJournal()
	}
	const n = 3
	var ids []string
	for i := range n {
		ids = append(ids, c.c.CreateKafka("calm-"+strconv.Itoa(i)).ID)
	}
	for _, id := range ids {
		c.w.WaitStatus(id, kafka.Ready)
		c.c.Delete(id)
	}
	for _, id := range ids {
		c.w.WaitGone(id)
	}
	all, _ := c.calls()
	for _, u := range upstreams(c.w) {
		u.ClearJournal()
	}
	return float64(all) / n
}

// churn orders instances and deletes some of them, whatever they have come to.
func (c *chaos) churn(n int) {
	c.gone = map[string]bool{}
	for i := range n {
		k := c.c.CreateKafka("kafka-" + strconv.Itoa(i))
		c.ids = append(c.ids, k.ID)
		if c.random.IntN(3) == 0 {
			id := c.ids[c.random.IntN(len(c.ids))]
			if !c.gone[id] {
				c.gone[id] = true
				c.c.Delete(id)
			}
		}
	}
}

// endure lets the weather last for a while.
func (c *chaos) endure(long time.Duration) {
	began := time.Now()
	c.w.Until("a while of bad weather", func() (bool, string) { return time.Since(began) > long, "less" })
}

// stand demands that every instance that was not deleted is complete, once.
func (c *chaos) stand() {
	for _, id := range c.ids {
		if !c.gone[id] {
			c.w.WaitStatus(id, kafka.Ready)
			require.Len(c, c.w.DNS.Of(id), 5)
			_, there := c.w.SSO.Client(harness.Realm, kafka.CanaryClientID(kafka.ID(id)))
			require.True(c, there)
		}
	}
}

// leave deletes what is left.
func (c *chaos) leave() {
	for _, id := range c.ids {
		if !c.gone[id] {
			c.c.Delete(id)
		}
	}
}
