package kafkawork

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
)

// prepareNext prepares an instance as the loop before has left it, or as it is read.
func (w *Work) prepareNext(ctx context.Context, tx db.TxFunc, id kafka.ID) (time.Duration, error) {
	if p, ok := w.Handover.Take(id, kafka.Preparing); ok {
		return w.prepare(ctx, tx, p.Kafka, p.On)
	}
	return w.reading(func(ctx context.Context, tx db.TxFunc, k kafka.Kafka) (time.Duration, error) {
		if k.Status != kafka.Preparing {
			return 0, nil
		}
		c, err := w.Clusters.PlaceOf(ctx, k.ClusterID)
		if errors.Is(err, cluster.ErrNotFound) {
			return w.wait(ctx, tx, k, kafka.FailedPreparing, "the data-plane cluster of the instance is gone")
		}
		if err != nil {
			return 0, err
		}
		return w.prepare(ctx, tx, k, c)
	})(ctx, tx, id)
}

// prepare makes what must exist outside before the agent may take over. The row need
// not be as it is now: what is begun for it is begun only if it is.
func (w *Work) prepare(ctx context.Context, tx db.TxFunc, k kafka.Kafka, c cluster.Cluster) (time.Duration, error) {
	if w.DNS == nil && c.ClusterDNS == "" {
		return w.wait(ctx, tx, k, kafka.FailedPreparing, "the DNS name of the data-plane cluster is not known")
	}
	plan := kafka.PlanPrepare(k, w.prepareFacts(c.ClusterDNS))
	if len(plan.Ensure) == 0 {
		return 0, w.apply(ctx, tx, k, plan)
	}
	intents, err := w.begin(ctx, tx, k, plan.Ensure)
	if err != nil {
		return 0, err
	}
	spec := canarySpec(k, intents, w.Clock())
	canary, err := w.Robots.Ensure(ctx, spec)
	if err != nil {
		return 0, w.refusedOr(ctx, tx, k, w.noteOnBegun(ctx, tx, intents, err))
	}
	sealed, err := w.Keyring.Seal(canary.Secret, k.TableName(), kafka.CanarySecretColumn, string(k.ID))
	if err != nil {
		return 0, err
	}
	plan.Set["canary_service_account_client_id"] = canary.ClientID
	plan.Set[kafka.CanarySecretColumn] = sealed
	made, err := w.madeBy(intents, canary, spec.First)
	if err != nil {
		return 0, err
	}
	err = w.apply(ctx, tx, k, plan, made...)
	if errors.Is(err, kafka.ErrStale) {
		// The call is over all the same, and would count as under way for ever.
		err = errors.Join(err, tx(ctx, func(t db.Tx) error { return t.Send(made...) }))
	}
	return 0, err
}

// madeBy notes on the intents that their account was seen, and which it is.
func (w *Work) madeBy(intents []ledger.Intent, made robot.Account, only bool) ([]db.Statement, error) {
	detail, err := robot.Remember(made, only)
	if err != nil {
		return nil, err
	}
	var marks []db.Statement
	for _, in := range intents {
		marks = append(marks, ledger.Marking(w.Clock(), in.ID, ledger.Created, detail))
	}
	return marks, nil
}

// refusedOr ends an instance whose client the SSO refuses: asking again would
// not help. Whatever may pass by itself is given back as the error it is.
func (w *Work) refusedOr(ctx context.Context, tx db.TxFunc, k kafka.Kafka, err error) error {
	if !errors.Is(err, robot.ErrRefused) {
		return err
	}
	return w.apply(ctx, tx, k, kafka.PlanRefusal("the SSO client of the instance could not be created", err.Error()))
}

// canarySpec is the account of an instance's canary. A call that was begun before
// this one may have made it already, whatever was heard of it.
func canarySpec(k kafka.Kafka, intents []ledger.Intent, now time.Time) robot.Spec {
	spec := robot.Spec{
		Key: kafka.CanaryClientID(k.ID), Name: kafka.CanaryClientID(k.ID),
		Description: "canary of Kafka instance " + string(k.ID),
		Claims:      map[string]string{"rh-org-id": k.OrganisationID, "rh-user-id": k.OwnerAccountID, "username": k.Owner},
		CreatedAt:   now,
		First:       true,
	}
	for _, in := range intents {
		if in.State != ledger.Wanted || in.Calls != 1 || in.Attempts > 0 {
			spec.First = false
		}
		spec.Have.ID, _ = robot.Recall(in.Detail)
	}
	return spec
}

// canaryRef names the account of an intent for its removal.
func canaryRef(in ledger.Intent) robot.Ref {
	ref := robot.Ref{Key: in.Key, Name: in.Key}
	if id, only := robot.Recall(in.Detail); only && in.Calls == 0 {
		ref.ID = id
	}
	return ref
}

// openIntents gives an instance's intents of a kind that are not gone.
func (w *Work) openIntents(ctx context.Context, k kafka.Kafka, kind string) ([]ledger.Intent, error) {
	intents, err := w.Ledger.Of(ctx, kafka.OwnerKind, string(k.ID))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(intents, func(in ledger.Intent) bool { return in.Kind != kind || in.State == ledger.Gone }), nil
}

func idsOf(intents []ledger.Intent) []string {
	ids := make([]string, 0, len(intents))
	for _, in := range intents {
		ids = append(ids, in.ID)
	}
	return ids
}
