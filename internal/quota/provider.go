package quota

import (
	"context"
	"errors"
	"time"
)

// Provider is who grants quota to new instances. There are two: the quota
// management list, and accounts management.
type Provider interface {
	// Standing gathers everything that decisions about an order of the account
	// depend on, so that each is made without asking again.
	Standing(ctx context.Context, who Account) (Standing, error)
	// Reserve takes what a grant says is to be reserved, once for a key, and names
	// the subscription. An error with code 120 is a refusal, after which nothing is
	// reserved, or should not be if it is ErrDenied. After any other one nobody knows.
	Reserve(ctx context.Context, r Reservation) (subscriptionID string, err error)
	// Release gives back what was reserved for a key. It tells whether anything was.
	Release(ctx context.Context, r Reservation) (existed bool, err error)
}

// ErrDenied says that a refusal came as an error. Unlike a verdict it need not be
// the last word on what was reserved.
var ErrDenied = errors.New("denied with an error")

// Standing is what an account may order, as of one moment.
type Standing interface {
	// InstanceType is the type that the account orders: customers do not choose it.
	InstanceType() (string, error)
	// ValidateBillingAccount judges an order that names a billing account or a
	// marketplace, which needs an account (code 43).
	ValidateBillingAccount(r Request) error
	// Resolve says under which billing model and within which limit the request may
	// be granted, or why it may not (code 120).
	Resolve(r Request, now time.Time) (Grant, error)
}

// Remote is what a grant has to reserve outside, in the words of accounts management.
type Remote struct {
	Product      string `json:"product"`
	Resource     string `json:"resource"`
	BillingModel string `json:"billing_model"`
	Account      string `json:"account,omitempty"` // at a marketplace
}

// Reservation is quota that one instance takes outside. It is kept with the
// intent, so that whoever finds it can finish or undo it.
type Reservation struct {
	Key            string `json:"-"` // names the subscription; see Key
	Username       string `json:"username"`
	CloudProvider  string `json:"cloud_provider"`
	MultiAZ        bool   `json:"multi_az"`
	Units          int    `json:"units"`
	Remote         Remote `json:"remote"`
	SubscriptionID string `json:"subscription_id,omitempty"` // once it is known
	// Again says that it may be reserved already.
	Again bool `json:"-"`
	// Instead are the billing models that may be named if this is refused.
	Instead []string `json:"-"`
}

// evalModel is the billing model of instances that are on trial for another one.
const evalModel = "eval"

// EnterpriseModel is the billing model of clusters that customers bring: naming it
// alone orders nothing.
const EnterpriseModel = "enterprise"

// Key names the reservation of an instance. That of an evaluation has a name of
// its own, so that it can stand beside the one which replaces it.
func Key(instanceID, billingModel string) string {
	if billingModel == evalModel {
		return instanceID + "-eval"
	}
	return instanceID
}

// ListProvider is the quota management list. It has nothing to reserve.
type ListProvider struct{ rules func() Rules }

// NewListProvider makes the provider; rules gives the present snapshot.
func NewListProvider(rules func() Rules) ListProvider { return ListProvider{rules} }

// Standing takes the present snapshot.
func (p ListProvider) Standing(_ context.Context, who Account) (Standing, error) {
	return listStanding{Rules: p.rules(), who: who}, nil
}

// Reserve has nothing to do: what is granted is counted by the caller.
func (ListProvider) Reserve(context.Context, Reservation) (string, error) { return "", nil }

// Release has nothing to do.
func (ListProvider) Release(context.Context, Reservation) (bool, error) { return false, nil }

type listStanding struct {
	Rules
	who Account
}

func (s listStanding) InstanceType() (string, error) { return s.InstanceTypeFor(s.who), nil }
