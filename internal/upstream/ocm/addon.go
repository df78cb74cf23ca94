package ocm

import (
	"context"
	"errors"
	"fmt"

	cmv1 "github.com/openshift-online/ocm-sdk-go/clustersmgmt/v1"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Param is a parameter of an add-on. Some are secrets, so none is ever printed.
type Param struct {
	ID    string
	Value log.Secret
}

// Addon is an installation of an add-on. Its id is the add-on's.
type Addon struct {
	State       string // pending, installing, ready, failed, deleting
	Description string
	Params      []Param
}

// Addon reads an installation.
func (c *Client) Addon(ctx context.Context, clusterID, addonID string) (Addon, error) {
	const doing = "reading an add-on"
	at, err := c.installation(doing, clusterID, addonID)
	if err != nil {
		return Addon{}, err
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Addon{}, err
	}
	defer cancel()
	answer, err := at.Get().SendContext(ctx)
	if err := Check(doing, answer, err); err != nil {
		return Addon{}, err
	}
	return toAddon(doing, addonID, answer.Body())
}

// EnsureAddon makes sure that the add-on is installed with these parameters and
// gives its state. An add-on that is there is changed only when the parameters
// differ, whatever their order.
func (c *Client) EnsureAddon(ctx context.Context, clusterID, addonID string, params []Param) (state string, err error) {
	found, err := c.Addon(ctx, clusterID, addonID)
	if errors.Is(err, ErrNotFound) {
		found, err = c.install(ctx, clusterID, addonID, params)
	}
	if errors.Is(err, ErrConflict) { // somebody else was faster
		found, err = c.Addon(ctx, clusterID, addonID)
	}
	if err != nil {
		return "", err
	}
	if sameParams(found.Params, params) {
		return found.State, nil
	}
	found, err = c.patch(ctx, clusterID, addonID, params)
	return found.State, err
}

func (c *Client) install(ctx context.Context, clusterID, addonID string, params []Param) (Addon, error) {
	const doing = "installing an add-on"
	at, err := c.cluster(doing, clusterID)
	if err != nil {
		return Addon{}, err
	}
	body := cmv1.NewAddOnInstallation().Addon(cmv1.NewAddOn().ID(addonID))
	if len(params) > 0 {
		body = body.Parameters(toList(params))
	}
	wanted, err := body.Build()
	if err != nil {
		return Addon{}, fmt.Errorf("%s: %w: %w", doing, ErrRefused, err)
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Addon{}, err
	}
	defer cancel()
	answer, err := at.Addons().Add().Body(wanted).SendContext(ctx)
	if err := Check(doing, answer, err); err != nil {
		return Addon{}, err
	}
	done, err := toAddon(doing, addonID, answer.Body())
	done.Params = params // the answer to a creation need not repeat them
	return done, err
}

func (c *Client) patch(ctx context.Context, clusterID, addonID string, params []Param) (Addon, error) {
	const doing = "changing an add-on's parameters"
	at, err := c.installation(doing, clusterID, addonID)
	if err != nil {
		return Addon{}, err
	}
	wanted, err := cmv1.NewAddOnInstallation().Parameters(toList(params)).Build()
	if err != nil {
		return Addon{}, fmt.Errorf("%s: %w: %w", doing, ErrRefused, err)
	}
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return Addon{}, err
	}
	defer cancel()
	answer, err := at.Update().Body(wanted).SendContext(ctx)
	if err := Check(doing, answer, err); err != nil {
		return Addon{}, err
	}
	return toAddon(doing, addonID, answer.Body())
}

func (c *Client) installation(doing, clusterID, addonID string) (*cmv1.AddOnInstallationClient, error) {
	at, err := c.cluster(doing, clusterID)
	if err != nil {
		return nil, err
	}
	if err := checkID(doing, addonID); err != nil {
		return nil, err
	}
	return at.Addons().Addoninstallation(addonID), nil
}

func toAddon(doing, addonID string, body *cmv1.AddOnInstallation) (Addon, error) {
	if body.ID() != addonID {
		return Addon{}, fmt.Errorf("%s: %w: the answer is about %q", doing, ErrUnavailable, body.ID())
	}
	out := Addon{State: string(body.State()), Description: body.StateDescription()}
	for _, p := range body.Parameters().Slice() {
		out.Params = append(out.Params, Param{ID: p.ID(), Value: log.Secret(p.Value())})
	}
	return out, nil
}

func toList(params []Param) *cmv1.AddOnInstallationParameterListBuilder {
	items := make([]*cmv1.AddOnInstallationParameterBuilder, 0, len(params))
	for _, p := range params {
		items = append(items, cmv1.NewAddOnInstallationParameter().ID(p.ID).Value(p.Value.Reveal()))
	}
	return cmv1.NewAddOnInstallationParameterList().Items(items...)
}

// sameParams compares the parameters as sets.
func sameParams(a, b []Param) bool {
	left, right := map[string]log.Secret{}, map[string]log.Secret{}
	for _, p := range a {
		left[p.ID] = p.Value
	}
	for _, p := range b {
		right[p.ID] = p.Value
	}
	if len(left) != len(right) {
		return false
	}
	for id, value := range left {
		if other, ok := right[id]; !ok || other != value {
			return false
		}
	}
	return true
}
