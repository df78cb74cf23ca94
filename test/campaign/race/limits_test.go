package race

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// limit is something of which there are only so many.
type limit struct {
	name    string
	most    int
	code    string   // of the refusal
	users   []string // who take from it
	options []harness.Option
	// used counts what is taken, and kept counts the rows that take it: while
	// nothing of it is being deleted all three are the same.
	used string
	// exact: whoever is refused was refused at a moment when nothing was left.
	exact bool
}

var limits = []limit{
	{
		name: "quota of an organisation", most: 5, code: "KAFKAS-MGMT-5", exact: true,
		users: []string{harness.Alice, harness.Bob, harness.Carol},
		options: []harness.Option{harness.QuotaList(`
registered_users_per_organisation:
- {id: "` + harness.Organisation + `", any_user: true, max_allowed_instances: 5}
`)},
		used: "SELECT count(*) FROM kafka_requests WHERE organisation_id = '" + harness.Organisation + "' AND deleted_at IS NULL",
	},
	{
		name: "units of a region", most: 4, code: "KAFKAS-MGMT-24", exact: true,
		users: []string{harness.Alice, harness.Dave, harness.Mallory}, // of three organisations: their locks are not the region's
		options: []harness.Option{harness.QuotaList(plenty), harness.Providers(`
supported_providers:
- name: aws
  default: true
  regions:
  - {name: us-east-1, default: true, supported_instance_type: {standard: {limit: 4}, developer: {limit: 0}}}
`)},
		used: "SELECT count(*) FROM kafka_requests WHERE region = 'us-east-1' AND deleted_at IS NULL",
	},
	{
		// A row may wait for its quota outside, and outlive it while it is being erased.
		name: "quota at accounts management", most: 5, code: "KAFKAS-MGMT-120", exact: true,
		users: []string{harness.Alice, harness.Bob, harness.Carol},
		options: []harness.Option{harness.AccountsQuota(), harness.Before(func(w *harness.World) {
			w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 5})
		})},
		used: "SELECT count(*) FROM kafka_requests WHERE organisation_id = '" + harness.Organisation +
			"' AND deleted_at IS NULL AND status NOT IN ('reserving', 'deleting')",
	},
	{
		// An order looks at two clusters one after the other, so it may miss room that moves between them.
		name: "room on clusters", most: 5, code: "KAFKAS-MGMT-24",
		users: []string{harness.Alice, harness.Dave, harness.Mallory},
		options: []harness.Option{harness.QuotaList(plenty), harness.Clusters(
			harness.Cluster{ID: harness.ClusterOne, Units: 3}, harness.Cluster{ID: harness.ClusterTwo, Units: 2})},
		used: "SELECT count(*) FROM kafka_requests WHERE cluster_id <> '' AND status <> 'deleting' AND deleted_at IS NULL",
	},
}

// Many clients at three replicas want what is left of something: exactly that much
// is given, everybody else hears why, and never is more taken than there is.
func TestLimitsAreGivenExactly(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 1, Full: 60})
	for n, l := range limits {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			// Without anything outside a deletion waits for nobody but the agent.
			options := append([]harness.Option{
				harness.Replicas(replicas), harness.Set("reconciler-repeat-interval", "200ms"),
				harness.Set("enable-kafka-cname-registration", "false"), harness.Set("mas-sso-enable-auth", "false"), harness.Faulty(),
			}, l.options...)
			c := &contest{t: t, limit: l, w: harness.New(t, options...), began: time.Now()}
			for i := range run.Rounds() {
				c.round(run, run.Rand(1000*n+i), i)
				if t.Failed() {
					t.Fatalf("round %d failed; again alone: CAMPAIGN_SEED=%d CAMPAIGN_ROUND=%d", i, run.Seed, i)
				}
			}
		})
	}
}

// contest is one limit and those who want it.
type contest struct {
	t     *testing.T
	limit limit
	w     *harness.World
	began time.Time

	mu   sync.Mutex
	bids []bid
	have []owned // what was given and not deleted yet
}

type owned struct {
	Owner string
	ID    string
}

// bid is one order or deletion.
type bid struct {
	client     int
	deletes    bool
	given      bool
	unknown    bool // it ran out of time: it may have been given
	call, back int64
}

const bidders = 8

// round lets everybody order at once, then order and delete for a while, and then
// takes what is left until nothing is.
func (c *contest) round(run campaign.Run, random *rand.Rand, number int) {
	c.bids = nil
	stop, watching := make(chan struct{}), sync.WaitGroup{}
	watching.Go(func() { c.watch(stop) })
	given := c.everybody(random, 2, func(r *rand.Rand, n int) { c.order(r, n, fmt.Sprintf("fill-%d", number)) })
	require.Equal(c.t, c.limit.most, given, "of %s", c.limit.name)
	c.everybody(random, 12, func(r *rand.Rand, n int) {
		if r.IntN(2) == 0 || !c.remove(r, n) {
			c.order(r, n, fmt.Sprintf("churn-%d", number))
		}
	})
	if c.limit.exact {
		c.judge(number)
	}
	c.w.Until("the end of what was deleted", func() (bool, string) {
		var used, leaving int
		c.w.Scan(&used, c.limit.used)
		c.w.Scan(&leaving, "SELECT count(*) FROM kafka_requests WHERE status IN ('deprovision', 'deleting') AND deleted_at IS NULL")
		return used == len(c.have) && leaving == 0, fmt.Sprintf("%d taken, %d leaving, %d wanted", used, leaving, len(c.have))
	})
	left := c.limit.most - len(c.have)
	given = c.everybody(random, 2, func(r *rand.Rand, n int) { c.order(r, n, fmt.Sprintf("again-%d", number)) })
	require.Equal(c.t, left, given, "of %s", c.limit.name)
	for len(c.have) > 0 {
		c.everybody(random, 1, func(r *rand.Rand, n int) { c.remove(r, n) })
	}
	c.w.Until("everything is gone", func() (bool, string) {
		var rows int
		c.w.Scan(&rows, "SELECT count(*) FROM kafka_requests WHERE deleted_at IS NULL")
		return rows == 0, fmt.Sprintf("%d rows", rows)
	})
	close(stop)
	watching.Wait()
	run.Count("bids", len(c.bids))
}

// everybody lets all bidders act so many times, and tells how much more was given
// than before.
func (c *contest) everybody(random *rand.Rand, times int, act func(*rand.Rand, int)) int {
	before := len(c.have)
	begin := make(chan struct{})
	var bidding sync.WaitGroup
	for n := range bidders {
		r := rand.New(rand.NewPCG(random.Uint64(), uint64(n)))
		bidding.Go(func() {
			<-begin
			for range times {
				act(r, n)
			}
		})
	}
	close(begin)
	bidding.Wait()
	// The rows know what became of bids that ran out of time.
	c.have = nil
	c.w.Scan(&c.have, "SELECT id, owner FROM kafka_requests WHERE status NOT IN ('deprovision', 'deleting') AND deleted_at IS NULL")
	return len(c.have) - before
}

func (c *contest) now() int64 { return time.Since(c.began).Nanoseconds() }

func (c *contest) caller(r *rand.Rand, user string) *harness.Caller {
	return c.w.As(user).At(c.w.Replica(r.IntN(replicas)))
}

func (c *contest) order(r *rand.Rand, client int, prefix string) {
	user := c.limit.users[client%len(c.limit.users)]
	caller := c.caller(r, user)
	b := bid{client: client, call: c.now()}
	reply := caller.CreateInTurn(harness.Order{Name: fmt.Sprintf("%s-%d-%x", prefix, client, r.Uint32())})
	b.back, b.given = c.now(), reply.Status == http.StatusAccepted
	b.unknown = outOfTime(reply.Status, b.back-b.call)
	if !b.given && !b.unknown && (reply.Status != http.StatusForbidden || reply.Error().Code != c.limit.code) {
		c.t.Errorf("of %s: %d %s\n%s", c.limit.name, reply.Status, reply.Body, logged(c.w, reply.Error().OperationID))
	}
	var made owned
	_ = json.Unmarshal(reply.Body, &made) // what is no instance was counted as refused
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bids = append(c.bids, b)
	if b.given {
		c.have = append(c.have, made)
	}
}

// outOfTime tells whether a call failed because a busy machine did not get to it
// before its deadline. What came of it nobody knows.
func outOfTime(status int, took int64) bool {
	return status >= http.StatusInternalServerError && time.Duration(took) > 5*time.Second
}

// logged gives what the replicas logged of a request.
func logged(w *harness.World, operation string) string {
	lines := strings.Split(w.Log(), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, operation) }), "\n")
}

// remove deletes one of what was given, if there is any.
func (c *contest) remove(r *rand.Rand, client int) bool {
	c.mu.Lock()
	if len(c.have) == 0 {
		c.mu.Unlock()
		return false
	}
	i := r.IntN(len(c.have))
	one := c.have[i]
	c.have = append(c.have[:i], c.have[i+1:]...)
	c.mu.Unlock()
	caller := c.caller(r, one.Owner)
	b := bid{client: client, deletes: true, given: true, call: c.now()}
	reply := caller.Do(http.MethodDelete, "/kafkas/"+one.ID+"?async=true", nil)
	b.back = c.now()
	if b.unknown = outOfTime(reply.Status, b.back-b.call); !b.unknown && reply.Status != http.StatusAccepted {
		c.t.Errorf("deleting what was given: %d %s", reply.Status, reply.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bids = append(c.bids, b)
	return true
}

// watch looks all the time whether more is taken than there is.
func (c *contest) watch(stop <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		var used int
		c.w.Scan(&used, c.limit.used)
		if used > c.limit.most {
			c.t.Errorf("of %s %d are taken, and there are %d", c.limit.name, used, c.limit.most)
			return
		}
	}
}

// stock is what is taken: for good, and by those on their way out. What leaves
// may be gone at any time.
type stock struct{ living, leaving int }

// judge demands that everybody was given or refused at a moment when that was right.
func (c *contest) judge(number int) {
	most := c.limit.most
	model := porcupine.Model{
		Init: func() any { return stock{} },
		Step: func(state, input, _ any) (bool, any) {
			s, b := state.(stock), input.(bid)
			switch {
			case b.unknown && (b.deletes && s.living == 0 || !b.deletes && s.living == most):
				return true, s
			case b.deletes:
				return s.living > 0, stock{s.living - 1, s.leaving + 1}
			case !b.given && !b.unknown:
				return s.living+s.leaving == most, s
			}
			return s.living < most, stock{s.living + 1, min(s.leaving, most-s.living-1)}
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}
	var all []porcupine.Operation
	for _, b := range c.bids {
		if b.unknown {
			b.back = never
		}
		all = append(all, porcupine.Operation{ClientId: b.client, Input: b, Call: b.call, Return: b.back})
	}
	draw(c.t, model, fmt.Sprintf("round %d of %s", number, c.limit.name), all)
}
