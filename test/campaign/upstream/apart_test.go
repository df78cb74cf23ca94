package upstream

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// work is what goes on without one of the upstreams: a way to prepare instances
// for it, and the events between which it lies.
type work struct {
	name     string
	down     []string // the upstreams that it does not need
	stuck    bool     // instances that need the upstream wait for it meanwhile
	prepare  func(w *harness.World, c *harness.Caller, ids []string)
	from, to kafka.Event
}

var works = []work{
	{
		name: "an order without the name servers, the cluster service and the accounts", down: []string{"dns", "ocm", "ams"},
		from: kafka.Event("created"), to: kafka.Prepared,
	},
	{
		name: "routes without the SSO", down: []string{"sso"}, stuck: true,
		prepare: func(w *harness.World, _ *harness.Caller, ids []string) {
			for _, id := range ids {
				w.WaitStatus(id, kafka.Provisioning)
			}
		},
		from: kafka.Prepared, to: kafka.BecameReady,
	},
	{
		name: "a whole life without the cluster service and the accounts", down: []string{"ocm", "ams"},
		from: kafka.Event("created"), to: kafka.Erased,
	},
}

// fault is a way in which an upstream does not work at all. The second takes the
// deadline of every call, and with it a worker's time.
func (w work) fault(random *rand.Rand) emulator.Fault {
	if w.stuck || random.IntN(2) == 0 {
		return emulator.Fault{Mode: emulator.Hang}
	}
	return emulator.Fault{Mode: emulator.Before, Status: http.StatusServiceUnavailable}
}

func TestWorkThatDoesNotNeedAnUpstreamGoesOnWithoutIt(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 50})
	for i := range run.Rounds() {
		for n, one := range works {
			t.Run(strconv.Itoa(i)+" "+one.name, func(t *testing.T) {
				t.Parallel()
				random := run.Rand(i*len(works) + n)
				a := &apart{T: t, w: harness.New(t, patient, harness.QuotaList(quota(200))), work: one}
				a.c = a.w.As(harness.Alice)
				calm := a.measure("calm", func() {})
				fault := one.fault(random)
				hurt := a.measure("hurt", func() { a.strike(fault) })
				heal(a.w)
				t.Logf("%s: slowest of %d %s, in calm times %s (%s)", one.name, batch, hurt, calm, fault.Mode)
				require.LessOrEqual(t, hurt, 2*calm+noise, "what is down delays what does not need it")
				a.end()
				run.Count("instances", len(a.ids))
			})
		}
	}
}

const (
	batch = 6
	// blocked is more than a loop has workers.
	blocked = 10
	// noise is allowed on top of the ratio, since single figures are small.
	noise = time.Second
)

// apart is one kind of work, measured with and without an upstream.
type apart struct {
	*testing.T
	w    *harness.World
	c    *harness.Caller
	work work
	ids  []string
}

// strike takes the upstreams down, and lets others queue up for them.
func (a *apart) strike(f emulator.Fault) {
	all := upstreams(a.w)
	for _, name := range a.work.down {
		f.Path = all[name].path
		all[name].Inject(f)
	}
	if !a.work.stuck {
		return
	}
	for i := range blocked {
		id := a.c.CreateKafka("blocked-" + strconv.Itoa(i)).ID
		a.w.WaitStatus(id, kafka.Preparing)
		a.ids = append(a.ids, id)
	}
}

// measure lets a few instances do the work and gives how long the slowest took.
func (a *apart) measure(name string, before func()) time.Duration {
	one := a.w.Agent(harness.ClusterOne)
	var ids []string
	order := func() {
		for i := range batch {
			ids = append(ids, a.c.CreateKafka(name+"-"+strconv.Itoa(i)).ID)
		}
	}
	if a.work.prepare == nil {
		before()
		order()
	} else {
		one.SetFate(agent.Stuck)
		order()
		a.work.prepare(a.w, a.c, ids)
		before()
	}
	a.ids = append(a.ids, ids...)
	began := time.Now()
	one.SetFate(agent.Healthy)
	if a.work.to == kafka.Erased {
		for _, id := range ids {
			a.w.WaitStatus(id, kafka.Ready)
			a.c.Delete(id)
		}
	}
	var slowest time.Duration
	for _, id := range ids {
		slowest = max(slowest, a.between(id, began))
	}
	return slowest
}

// between waits for the last event of the work and gives how long it took from the
// first one, or from the moment that things could go on.
func (a *apart) between(id string, possible time.Time) time.Duration {
	var took time.Duration
	a.w.Until(string(a.work.to)+" of "+id, func() (bool, string) {
		var events []kafka.HistoryEntry
		require.NoError(a, a.w.Within(func(ctx context.Context) (err error) {
			events, err = a.w.Kafkas.History(ctx, kafka.ID(id))
			return err
		}))
		at := func(e kafka.Event) time.Time {
			i := slices.IndexFunc(events, func(h kafka.HistoryEntry) bool { return h.Event == e })
			if i < 0 {
				return time.Time{}
			}
			return events[i].At
		}
		last := at(a.work.to)
		from := at(a.work.from)
		if a.work.prepare != nil {
			from = possible
		}
		took = last.Sub(from)
		return !last.IsZero(), string(a.w.Row(id).Status)
	})
	return took
}

// end demands that what waited goes on, and that everything can be deleted.
func (a *apart) end() {
	for _, id := range a.ids {
		row := a.w.Row(id)
		if row.DeletedAt != nil {
			continue
		}
		a.w.WaitStatus(id, kafka.Ready)
		a.c.Delete(id)
	}
	for _, id := range a.ids {
		a.w.WaitGone(id)
	}
	nothingLeft(a.T, a.w)
}

// While an upstream is down, each instance asks again after twice as long. In so
// much time that is no more than so many calls each, whatever the jitter.
const (
	lull     = 3 * time.Second
	attempts = 8
)

func TestAnUpstreamThatIsDownIsNotPelted(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 20})
	for i := range run.Rounds() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			w := harness.New(t, patient, harness.QuotaList(quota(200)))
			c := w.As(harness.Alice)
			n := 8 + run.Rand(i).IntN(8)
			w.SSO.ClearJournal()
			w.SSO.Inject(emulator.Fault{Path: ssoAdmin, Mode: emulator.Before, Status: http.StatusServiceUnavailable})
			began := time.Now()
			var ids []string
			for j := range n {
				ids = append(ids, c.CreateKafka("kafka-"+strconv.Itoa(j)).ID)
			}
			w.Until("a while", func() (bool, string) { return time.Since(began) > lull, "less" })
			calls := len(w.SSO.JournalOf("", ssoAdmin))
			require.GreaterOrEqual(t, calls, n, "somebody asked")
			require.LessOrEqual(t, calls, n*attempts, "%d instances", n)
			t.Logf("%.1f calls for each of %d instances in %s", float64(calls)/float64(n), n, lull)
			heal(w)
			for _, id := range ids {
				w.WaitStatus(id, kafka.Ready)
				c.Delete(id)
			}
			for _, id := range ids {
				w.WaitGone(id)
			}
			nothingLeft(t, w)
			run.Count("calls", calls)
		})
	}
}
