package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign/fleet"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// act is something that customers, operators or the world do, and that ends when
// all that was asked for is done. The registry says which act hits which point.
type act struct {
	name string
	do   func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error
}

// acts are the whole life, the usual parts first: a point belongs to the first act that hits it.
func acts() []act {
	return []act{
		{"life", lives},
		{"early", func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error { return f.EarlyDeletes(ctx, r, 6) }},
		{"account", accounts},
		{"cluster", clusters},
		{"election", elections},
		{"rejection", rejections},
		{"outage", outages},
		{"change", changes},
		{"undoing", undoings},
		{"age", ages},
	}
}

func actNamed(name string) (act, bool) {
	for _, a := range acts() {
		if a.name == name {
			return a, true
		}
	}
	return act{}, false
}

// lives takes a few instances from the order to ready to gone.
func lives(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	return f.Lives(ctx, 3+r.IntN(3))
}

// accounts makes, resets and removes service accounts.
func accounts(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	return fleet.Together(2, func(i int) error { return f.Customer(fleet.User(i)).Account(ctx) })
}

// clusters has one more cluster equipped.
func clusters(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	_, err := f.Equip(ctx)
	return err
}

// elections replaces the leaders gracefully, one lease after the other. Those who
// follow have yet to log in anywhere.
func elections(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	for _, lease := range []string{fleet.KafkaLease, fleet.ClusterLease} {
		if err := f.Depose(ctx, lease); err != nil {
			return err
		}
	}
	return errors.Join(clusters(ctx, f, r), lives(ctx, f, r))
}

// rejections has the agent refuse placements for a while.
func rejections(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	a := f.Agent(f.Cluster())
	return fleet.Together(3, func(i int) error {
		c := f.Customer(fleet.User(i))
		id, err := c.Order(ctx, f.Name("rejected"))
		if err != nil {
			return err
		}
		a.SetFate([]agent.Fate{agent.Rejected, agent.RejectedFull, agent.Broken}[i], id)
		fleet.Pause(ctx, 600*time.Millisecond)
		a.SetFate(agent.Healthy, id)
		return c.Delete(ctx, id) // it has failed by now, or waits until its cluster may have room again
	})
}

// outages has each upstream fail for a moment, before and after the effect.
func outages(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	for _, fault := range []emulator.Fault{
		{Method: http.MethodPost, Path: `/clients$`, Mode: emulator.Before, Status: http.StatusServiceUnavailable, Times: 2},
		{Method: http.MethodPost, Path: `/clients$`, Mode: emulator.After, Status: http.StatusBadGateway, Times: 2},
		{Method: http.MethodDelete, Path: `/clients/`, Mode: emulator.After, Status: http.StatusBadGateway, Times: 2},
	} {
		f.SSO.Inject(fault)
	}
	f.DNS.Inject(emulator.Fault{Method: http.MethodPost, Mode: emulator.After, Status: http.StatusServiceUnavailable, Times: 16})
	defer func() {
		f.SSO.ClearFaults()
		f.DNS.ClearFaults()
	}()
	return errors.Join(lives(ctx, f, r), fleet.Together(2, func(i int) error {
		c := f.Customer(fleet.User(i))
		id, err := c.Order(ctx, f.Name("outage"))
		if err != nil {
			return err
		}
		return c.Delete(ctx, id)
	}))
}

// undoings has orders fail while their quota is reserved. One with a key is sent
// again, and finished; those without are undone: after the effect, before it, and by
// a refusal.
func undoings(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	defer f.AMS.ClearFaults()
	inject := func(mode emulator.Mode, status int) {
		f.AMS.Inject(emulator.Fault{Method: http.MethodPost, Path: `/cluster_authorizations$`, Mode: mode, Status: status, Times: 1})
	}
	inject(emulator.After, http.StatusBadGateway)
	c := f.Customer(harness.Alice)
	id, err := c.Order(ctx, f.Name("finished"))
	if err == nil {
		err = c.Delete(ctx, id)
	}
	inject(emulator.Before, http.StatusBadGateway)
	inject(emulator.Before, http.StatusTooManyRequests)
	inject(emulator.After, http.StatusBadGateway)
	failed := fleet.Together(3, func(i int) error { return f.Customer(fleet.User(i)).Attempt(ctx, f.Name("undone")) })
	return errors.Join(err, failed, f.Await(ctx, "the end of what was left half way", func() (bool, error) {
		var left int
		f.Scan(&left, "SELECT count(*) FROM kafka_requests WHERE status = 'reserving' AND deleted_at IS NULL")
		return left == 0, nil
	}))
}

// changes has instances change while they live.
func changes(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	c := f.Customer(harness.Alice)
	id, err := c.Order(ctx, f.Name("changed"))
	if err != nil {
		return err
	}
	if err := c.AwaitReady(ctx, id); err != nil {
		return err
	}
	for i := range 3 {
		if err := c.Patch(ctx, id, map[string]any{"reauthentication_enabled": i%2 == 0}); err != nil {
			return err
		}
	}
	if err := f.Customer(harness.Carol).Patch(ctx, id, map[string]any{"owner": harness.Bob}); err != nil {
		return err
	}
	return f.Customer(harness.Bob).Delete(ctx, id)
}

// ages lets time pass: what was left half way, is kept or was closed in doubt is
// old enough for the sweepers, and a new leader looks at once.
func ages(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	limited, cancel := context.WithTimeout(ctx, 2*time.Second)
	f.Customer(harness.Alice).Abandon(limited)
	cancel()
	f.Age(3)
	if err := f.Depose(ctx, fleet.KafkaLease); err != nil {
		return err
	}
	if err := lives(ctx, f, r); err != nil {
		return fmt.Errorf("after the sweepers: %w", err)
	}
	return nil
}
