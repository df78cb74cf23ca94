package clusterwork

import (
	"context"
	"errors"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
)

// terraform gives a cluster what it needs to run instances, and later sees to it
// that it still has that: its DNS name is known, its agent has an account, the
// add-ons are there and know the right parameters.
func (w *Work) terraform(ctx context.Context, tx db.TxFunc, c cluster.Cluster) (time.Duration, error) {
	if c.ClusterDNS == "" {
		dns, err := w.OCM.DefaultIngressDNS(ctx, c.ProviderID())
		if errors.Is(err, ocm.ErrNotFound) {
			return w.retryLater(ctx, tx, c, err.Error())
		}
		if err != nil {
			return 0, err
		}
		if c, err = w.note(ctx, tx, c, cluster.Columns{"cluster_dns": dns}); err != nil {
			return 0, err
		}
		c.ClusterDNS = dns
	}
	have, err := w.record(ctx, tx, c)
	if err != nil {
		return 0, err
	}
	c, account, err := w.account(ctx, tx, c, have)
	if err != nil {
		return 0, err
	}
	addons, err := w.addons(ctx, c, account)
	if err != nil {
		return 0, err
	}
	for _, a := range addons {
		if a.Failed() {
			w.Metrics.AddonFailed(a.ID)
			w.Logger.WarnContext(ctx, "add-on of a cluster failed", "cluster_id", c.ProviderID(), "addon_id", a.ID)
		}
	}
	return w.conclude(ctx, tx, c, cluster.PlanAddons(c, addons), func(t db.Tx) error { return w.markCreated(t, have) })
}

// record commits what is about to be made, and gives all that was recorded.
func (w *Work) record(ctx context.Context, tx db.TxFunc, c cluster.Cluster) ([]ledger.Intent, error) {
	wanted := cluster.Intents(c, w.Config.StrimziAddon, w.Config.FleetshardAddon)
	have, err := w.Ledger.Of(ctx, cluster.OwnerKind, string(c.ID))
	if err != nil || !cluster.Unrecorded(wanted, have) {
		return have, err
	}
	if err := tx(ctx, func(t db.Tx) error { return ledger.Want(t, w.Clock(), wanted...) }); err != nil {
		return nil, err
	}
	return w.Ledger.Of(ctx, cluster.OwnerKind, string(c.ID))
}

// account makes sure that the agent's account exists and that the row has its
// present secret, whoever changed it: an agent with a dead secret is lost.
func (w *Work) account(ctx context.Context, tx db.TxFunc, c cluster.Cluster, have []ledger.Intent) (cluster.Cluster, cluster.Account, error) {
	const column = "client_secret"
	known, err := w.Keyring.Open(c.ClientSecret, c.TableName(), column, string(c.ID))
	if err != nil {
		w.Logger.ErrorContext(ctx, "stored secret of an agent cannot be read, storing it again", "cluster_id", c.ProviderID(), "error", err)
		known = ""
	}
	intent := agentIntent(have)
	id, _ := robot.Recall(intent.Detail)
	agent, err := w.Robots.Ensure(ctx, robot.Spec{
		Key: cluster.AgentClientID(c.ProviderID()), Name: c.ProviderID(), Description: "agent of data-plane cluster " + c.ProviderID(),
		Have: robot.Account{ID: id, ClientID: c.ClientID, Secret: known},
	})
	if err != nil {
		return c, cluster.Account{}, err
	}
	account := cluster.Account{ClientID: agent.ClientID, Secret: agent.Secret}
	if known == agent.Secret && c.ClientID == agent.ClientID && id == agent.ID {
		return c, account, nil
	}
	sealed, err := w.Keyring.Seal(agent.Secret, c.TableName(), column, string(c.ID))
	if err != nil {
		return c, cluster.Account{}, err
	}
	detail, err := robot.Remember(agent, false)
	if err != nil {
		return c, cluster.Account{}, err
	}
	err = tx(ctx, func(t db.Tx) error {
		if err := ledger.Mark(t, w.Clock(), intent.ID, ledger.Created, detail); err != nil {
			return err
		}
		c, err = cluster.Note(t, c, cluster.Columns{"client_id": agent.ClientID, column: sealed}, w.Clock(), "")
		return err
	})
	c.ClientID, c.ClientSecret = agent.ClientID, sealed
	return c, account, err
}

// agentIntent is the intent of the agent's account, which was recorded before.
func agentIntent(have []ledger.Intent) ledger.Intent {
	for _, in := range have {
		if in.Kind == cluster.KindSSOClient && in.State != ledger.Gone {
			return in
		}
	}
	return ledger.Intent{}
}

// addons installs what is missing, corrects the agent's parameters, and gives
// the add-ons' states.
func (w *Work) addons(ctx context.Context, c cluster.Cluster, account cluster.Account) ([]cluster.Addon, error) {
	strimzi, err := w.operator(ctx, c, w.Config.StrimziAddon)
	if err != nil {
		return nil, err
	}
	at := cluster.Endpoints{Issuer: w.Issuer, ControlPlane: w.Config.PublicURL}
	var params []ocm.Param
	for _, p := range w.Config.AgentParameters(c.ProviderID(), account, at) {
		params = append(params, ocm.Param{ID: p.ID, Value: p.Value})
	}
	state, err := w.OCM.EnsureAddon(ctx, c.ProviderID(), w.Config.FleetshardAddon, params)
	if err != nil {
		return nil, err
	}
	return []cluster.Addon{strimzi, {ID: w.Config.FleetshardAddon, State: state}}, nil
}

// operator installs an add-on that takes no parameters from us. It looks first,
// so that parameters which somebody else gave it are left alone.
func (w *Work) operator(ctx context.Context, c cluster.Cluster, addonID string) (cluster.Addon, error) {
	found, err := w.OCM.Addon(ctx, c.ProviderID(), addonID)
	if errors.Is(err, ocm.ErrNotFound) {
		found.State, err = w.OCM.EnsureAddon(ctx, c.ProviderID(), addonID, nil)
	}
	return cluster.Addon{ID: addonID, State: found.State}, err
}

// conclude writes what a pass found out, and when to look again.
func (w *Work) conclude(
	ctx context.Context, tx db.TxFunc, c cluster.Cluster, p cluster.Plan, mark func(db.Tx) error,
) (again time.Duration, err error) {
	if p.Event != "" {
		return 0, w.apply(ctx, tx, c, p, mark)
	}
	now := w.Clock()
	err = tx(ctx, func(t db.Tx) error {
		if err := mark(t); err != nil {
			return err
		}
		if len(p.Set) > 0 {
			var err error
			if c, err = cluster.Note(t, c, p.Set, now, ""); err != nil {
				return err
			}
		}
		if p.Wait != "" {
			again = reconcile.Backoff(c.Attempts)
			return cluster.Postpone(t, c, now.Add(again), p.Wait)
		}
		return cluster.Rest(t, c, now.Add(c.Status.Info().Again))
	})
	return again, err
}

func (w *Work) note(ctx context.Context, tx db.TxFunc, c cluster.Cluster, set cluster.Columns) (noted cluster.Cluster, err error) {
	err = tx(ctx, func(t db.Tx) error {
		noted, err = cluster.Note(t, c, set, w.Clock(), "")
		return err
	})
	return noted, err
}

func (w *Work) markCreated(t db.Tx, have []ledger.Intent) error {
	for _, in := range have {
		if in.State != ledger.Wanted {
			continue
		}
		if err := ledger.Mark(t, w.Clock(), in.ID, ledger.Created, nil); err != nil {
			return err
		}
	}
	return nil
}
