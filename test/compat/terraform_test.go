package compat

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// goAgent is what a Go SDK calls itself if nobody gives it a name.
const goAgent = "OpenAPI-Generator/1.0.0/go"

// terraform is the provider: every attribute is part of the order, and there is no update.
type terraform struct {
	t   *testing.T
	h   *harness.World
	api *sdk.Client
}

func newTerraform(t *testing.T, h *harness.World, user string) terraform {
	t.Helper()
	return terraform{t, h, &sdk.Client{
		Base: h.Origin(), HTTP: newHTTP(t), Agent: goAgent, Token: exchange(ssoOf(t, h), cloudClient, offlineToken(t, h, user)),
	}}
}

// await is the provider's waiting: a status that is neither awaited nor on the way is an error.
func (p terraform) await(id string, pending, target []string) (k sdk.Kafka, err error) {
	p.h.Until("a status that Terraform waits for", func() (bool, string) {
		k, err = p.api.GetKafka(p.t.Context(), id)
		switch {
		case err != nil && sdk.FaultOf(err).Code == "KAFKAS-MGMT-7" && len(target) == 0:
			err = nil
			return true, ""
		case err != nil, slices.Contains(target, k.Status):
			return true, ""
		case slices.Contains(pending, k.Status):
			return false, k.Status
		}
		err = fmt.Errorf("unexpected state %q", k.Status)
		return true, ""
	})
	return k, err
}

func (p terraform) create(order sdk.Order) (sdk.Kafka, error) {
	made, err := p.api.CreateKafka(p.t.Context(), order)
	if err != nil {
		return made, err
	}
	return p.await(made.ID, []string{"accepted", "preparing", "provisioning"}, []string{"ready"})
}

func (p terraform) destroy(id string) error {
	if err := p.api.DeleteKafka(p.t.Context(), id); err != nil {
		return err
	}
	_, err := p.await(id, []string{"deprovision", "deleting"}, nil)
	return err
}

func TestTerraformAppliesAndDestroys(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.Replicas(2))
	p := newTerraform(t, h, harness.Alice)
	order := sdk.Order{
		"name": "one", "cloud_provider": "aws", "region": "us-east-1", "reauthentication_enabled": false,
		"plan": "standard.x1", "billing_model": "standard",
	}
	made, err := p.create(order)
	require.NoError(t, err)
	// A value that reads differently is a change to Terraform, and a change is a new instance.
	require.Equal(t, order, sdk.Order{
		"name": made.Name, "cloud_provider": made.CloudProvider, "region": made.Region,
		"reauthentication_enabled": made.ReauthenticationEnabled, "plan": made.InstanceType + "." + made.SizeID, "billing_model": made.BillingModel,
	})
	require.NotEmpty(t, made.BootstrapServerHost)
	_, err = p.create(order)
	require.Equal(t, "KAFKAS-MGMT-36", sdk.FaultOf(err).Code, "the second plan of the same name")

	list, _, err := p.api.ListKafkas(t.Context()) // the data source: page 1 of the service's size
	require.NoError(t, err)
	require.EqualValues(t, 1, list.Page)
	require.Len(t, list.Items, 1)
	require.NoError(t, p.destroy(made.ID))
	err = p.destroy(made.ID)
	require.Equal(t, "KAFKAS-MGMT-7", sdk.FaultOf(err).Code)
}

// TestTerraformNeverSeesReadyAfterADelete: at the next look, at whichever replica,
// and however long the data plane takes.
func TestTerraformNeverSeesReadyAfterADelete(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.Replicas(2))
	p := newTerraform(t, h, harness.Alice)
	made, err := p.create(sdk.Order{"name": "one", "plan": "standard.x1", "billing_model": "standard"})
	require.NoError(t, err)
	restore := h.CutAgents()
	defer restore()
	require.NoError(t, p.api.DeleteKafka(t.Context(), made.ID))
	direct := h.As(harness.Alice)
	for i := range 20 {
		shown := direct.At(h.Replica(i % 2)).Get(made.ID)
		require.Contains(t, []string{"deprovision", "deleting"}, shown.Status)
		list := direct.At(h.Replica(i%2)).List("search", "status = ready")
		require.Empty(t, list.Items, "the list says the same")
	}
}

// TestTerraformTellsFailureFromProgress: any other status ends its waiting.
func TestTerraformTellsFailureFromProgress(t *testing.T) {
	t.Parallel()
	h := newWorld(t, harness.ManualAgents())
	p := newTerraform(t, h, harness.Alice)
	made, err := p.api.CreateKafka(t.Context(), sdk.Order{"name": "one"})
	require.NoError(t, err)
	h.Until("the instance in the agent's list", func() (bool, string) {
		_, there := h.Agent(harness.ClusterOne).Lists()[made.ID]
		return there, "it is not"
	})
	h.Agent(harness.ClusterOne).Says(made.ID, "False", "Error", "the disk is on fire")
	_, err = p.await(made.ID, []string{"accepted", "preparing", "provisioning"}, []string{"ready"})
	require.EqualError(t, err, `unexpected state "failed"`)
	shown, err := p.api.GetKafka(t.Context(), made.ID)
	require.NoError(t, err)
	require.NotEmpty(t, shown.FailedReason)
}

// TestTerraformInLocalDevelopment: with LOCAL_DEV it shows no token at all, and looks
// for both APIs below one URL.
func TestTerraformInLocalDevelopment(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	p := terraform{t, h, &sdk.Client{Base: h.Origin() + "/as/" + harness.Alice, HTTP: newHTTP(t), Agent: goAgent}}
	made, err := p.create(sdk.Order{"name": "one", "plan": "standard.x1", "billing_model": "standard"})
	require.NoError(t, err)
	account, err := p.api.CreateAccount(t.Context(), "billing", "Of Terraform.")
	require.NoError(t, err)
	h.Hide("a secret", account.Secret)
	list, err := p.api.ListAccounts(t.Context(), "0", "100")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, p.api.DeleteAccount(t.Context(), account.ID))
	require.NoError(t, p.destroy(made.ID))
	_, _, err = (&sdk.Client{Base: h.Origin(), HTTP: p.api.HTTP}).ListKafkas(t.Context())
	var refused *sdk.Error
	require.True(t, errors.As(err, &refused))
	require.Equal(t, http.StatusUnauthorized, refused.Code, "elsewhere nobody is let in without a token")
}
