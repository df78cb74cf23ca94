package compat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const rhoasAgent = "rhoas-cli_0.53.0"

// rhoas is the command line tool. Its methods are its commands.
type rhoas struct {
	t    *testing.T
	h    *harness.World
	sso  sdk.SSO
	api  *sdk.Client // of the gateway
	door *sdk.Client // of the SSO, below its whole URL

	refresh, access string // what its configuration file holds
}

// newRhoas logs in with a token: that writes the configuration and calls nobody.
func newRhoas(t *testing.T, h *harness.World, user string) *rhoas {
	t.Helper()
	r := &rhoas{t: t, h: h, sso: ssoOf(t, h), refresh: offlineToken(t, h, user)}
	shown := func(context.Context) (string, error) { return r.access, nil }
	r.api = &sdk.Client{Base: h.Origin(), HTTP: newHTTP(t), Agent: rhoasAgent, Token: shown}
	r.door = &sdk.Client{Base: r.sso.URL, HTTP: r.api.HTTP, Agent: rhoasAgent, Token: shown}
	return r
}

// begin is what every command does first: it renews its tokens, without a secret,
// and reads them.
func (r *rhoas) begin() {
	r.t.Helper()
	got, err := r.sso.Grant(r.t.Context(),
		"grant_type", "refresh_token", "client_id", cliClient, "refresh_token", r.refresh, "response_type", "token")
	require.NoError(r.t, err)
	for _, token := range []string{got.Access, got.Refresh} {
		_, err := sdk.Claims(token)
		require.NoError(r.t, err)
	}
	r.access, r.refresh = got.Access, got.Refresh
}

func (r *rhoas) whoami() any {
	r.begin()
	claims, err := sdk.Claims(r.access)
	require.NoError(r.t, err)
	return claims["preferred_username"]
}

// wish is what the flags of "kafka create" say.
type wish struct {
	name, size, billing, marketplace, account string

	provider, region string // aws and us-east-1 where empty
	bypass           bool   // --bypass-checks
	dryRun           bool
}

// codes of refusals that "kafka create" has words of its own for.
var createWords = map[string]string{
	"KAFKAS-MGMT-120": "no quota", "KAFKAS-MGMT-24": "no room", "KAFKAS-MGMT-36": "name taken",
	"KAFKAS-MGMT-41": "type not supported there", "KAFKAS-MGMT-42": "size not supported", "KAFKAS-MGMT-43": "billing account not valid",
}

// inWords is what the tool prints: words of its own for some codes, by the code alone.
func inWords(err error) error {
	if words, known := createWords[sdk.FaultOf(err).Code]; known {
		return errors.New(words)
	}
	return err
}

func (r *rhoas) create(w wish) (made sdk.Kafka, err error) {
	r.begin()
	if _, err := r.api.Constants(r.t.Context()); err == nil {
		r.t.Error("the gateway gives settings that the vendor publishes elsewhere")
	} // and goes on with those that it was built with
	w.provider, w.region = orElse(w.provider, "aws"), orElse(w.region, "us-east-1")
	if !w.bypass {
		if err := r.checkAccount(); err != nil {
			return made, err
		}
		if err := r.checkPlace(w); err != nil {
			return made, err
		}
	}
	if w.dryRun {
		return made, nil
	}
	order := sdk.Order{"cloud_provider": w.provider, "cluster_id": "", "name": w.name, "region": w.region}
	if w.size != "" {
		order["plan"] = "standard." + w.size
	}
	maps.Copy(order, given(map[string]string{
		"billing_model": w.billing, "marketplace": w.marketplace, "billing_cloud_account_id": w.account,
	}))
	made, err = r.api.CreateKafka(r.t.Context(), order)
	return made, inWords(err)
}

func orElse(text, usual string) string {
	if text == "" {
		return usual
	}
	return text
}

// given leaves out what is empty.
func given(fields map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range fields {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// checkAccount asks the accounts service on the same gateway.
func (r *rhoas) checkAccount() error {
	terms, err := r.api.ReviewTerms(r.t.Context())
	if err != nil {
		return err
	}
	if terms.Required {
		return errors.New("terms have to be accepted")
	}
	me, err := r.api.CurrentAccount(r.t.Context())
	if err != nil {
		return err
	}
	quotas, err := r.api.QuotaCost(r.t.Context(), me.Organisation.ID)
	if err != nil {
		return err
	}
	for _, q := range quotas {
		for _, resource := range q.Resources {
			if resource.Name == "rhosak" && q.Allowed > q.Consumed && slices.Contains([]string{"RHOSAK", "RHOSAKTrial"}, resource.Product) {
				return nil
			}
		}
	}
	return errors.New("no quota of the account fits")
}

// checkPlace asks what can be ordered.
func (r *rhoas) checkPlace(w wish) error {
	clouds, err := r.api.Providers(r.t.Context())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(clouds, func(p sdk.Provider) bool { return p.ID == w.provider && p.Enabled }) {
		return fmt.Errorf("provider %s is not enabled", w.provider)
	}
	regions, err := r.api.Regions(r.t.Context(), w.provider)
	if err != nil {
		return err
	}
	known := slices.IndexFunc(regions, func(one sdk.Region) bool { return one.ID == w.region && one.Enabled })
	if known < 0 {
		return fmt.Errorf("region %s is not enabled", w.region)
	}
	if !slices.ContainsFunc(regions[known].Capacity, func(c sdk.Capacity) bool { return c.InstanceType == "standard" && len(c.Sizes) > 0 }) {
		return fmt.Errorf("region %s has no room for standard instances", w.region)
	}
	if w.size == "" {
		return nil
	}
	types, err := r.api.InstanceTypes(r.t.Context(), w.provider, w.region)
	if err != nil {
		return err
	}
	for _, one := range types {
		if one.ID == "standard" && slices.ContainsFunc(one.Sizes, func(s sdk.Size) bool { return s.ID == w.size && s.QuotaConsumed > 0 }) {
			return nil
		}
	}
	return fmt.Errorf("size %s is not offered", w.size)
}

// wait is "kafka create --wait": whatever is none of these three ends it.
func (r *rhoas) wait(id string) (k sdk.Kafka) {
	r.h.Until("an end of the wait", func() (bool, string) {
		var err error
		k, err = r.api.GetKafka(r.t.Context(), id)
		require.NoError(r.t, err)
		return !slices.Contains([]string{"accepted", "preparing", "provisioning"}, k.Status), k.Status
	})
	return k
}

// list is "kafka list": names, or word that there is none.
func (r *rhoas) list(page, limit, search string) ([]string, error) {
	r.begin()
	pairs := []string{"page", page, "size", limit}
	if search != "" {
		var parts []string
		for _, column := range []string{"name", "owner", "cloud_provider", "region", "status"} {
			parts = append(parts, column+" like %"+search+"%")
		}
		pairs = append(pairs, "search", strings.Join(parts, " or "))
	}
	got, _, err := r.api.ListKafkas(r.t.Context(), pairs...)
	if err != nil || got.Size == 0 {
		return nil, err
	}
	names := []string{}
	for _, k := range got.Items {
		names = append(names, k.Name)
	}
	return names, nil
}

var errNotFound = errors.New("not found")

// byID is how describe, use and all that follow an id read; 7 is the only code with words.
func (r *rhoas) byID(id string) (sdk.Kafka, error) {
	r.begin()
	k, err := r.api.GetKafka(r.t.Context(), id)
	if sdk.FaultOf(err).Code == "KAFKAS-MGMT-7" {
		return k, errNotFound
	}
	return k, err
}

// byName takes the first that a search gives.
func (r *rhoas) byName(name string) (sdk.Kafka, error) {
	r.begin()
	got, _, err := r.api.ListKafkas(r.t.Context(), "search", "name = "+name)
	if err != nil {
		return sdk.Kafka{}, err
	}
	if got.Total == 0 {
		return sdk.Kafka{}, errNotFound
	}
	return got.Items[0], nil
}

// update prints the reason word for word if there is one.
func (r *rhoas) update(id string, changes map[string]any) (sdk.Kafka, error) {
	if k, err := r.byID(id); err != nil {
		return k, err
	}
	k, err := r.api.UpdateKafka(r.t.Context(), id, changes)
	if reason := sdk.FaultOf(err).Reason; reason != "" {
		return k, errors.New(reason)
	}
	return k, err
}

func (r *rhoas) delete(name string) error {
	k, err := r.byName(name)
	if err != nil {
		return err
	}
	return r.api.DeleteKafka(r.t.Context(), k.ID)
}

// accountID is checked before anything is asked.
var accountID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// account reads a service account first, as delete and reset-credentials do.
func (r *rhoas) account(id string) (sdk.Account, error) {
	r.begin()
	require.Regexp(r.t, accountID, id)
	return r.door.GetAccount(r.t.Context(), id)
}
