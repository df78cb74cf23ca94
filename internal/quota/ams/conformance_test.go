package ams_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota/ams"
	upstream "github.com/kas-fleet/kas-fleet-manager/internal/upstream/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

// Granted is what an organisation of the suite has: units by billing model.
type granted map[string]int

// The organisations of the suite. "none" is known and has nothing, "nowhere" is unknown.
var organisations = map[string]granted{
	"some": {"standard": 2},
	"eval": {"eval": 1},
	"both": {"standard": 1, "eval": 1},
	"none": {},
}

// office orders from a provider as the service does: it counts what the grant
// says, under a lock, and reserves what is to be reserved.
type office struct {
	t        *testing.T
	provider quota.Provider
	catalog  *catalog.Catalog

	mu   sync.Mutex
	rows map[string]row
	last int
}

type row struct {
	quota.Request
	grant       quota.Grant
	reservation quota.Reservation
}

func known(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(catalog.Config{InstanceTypesFile: catalog.DefaultInstanceTypesFile, ProvidersFile: catalog.DefaultProvidersFile})
	require.NoError(t, err)
	return c
}

// byList has the quota management list grant what the organisations have.
func byList(t *testing.T) *office {
	t.Helper()
	var text strings.Builder
	text.WriteString("registered_users_per_organisation:\n")
	for id, have := range organisations {
		if len(have) == 0 {
			continue
		}
		fmt.Fprintf(&text, "- id: %s\n  any_user: true\n  granted_quota:\n  - instance_type_id: standard\n    kafka_billing_models:\n", id)
		for model, units := range have {
			fmt.Fprintf(&text, "    - {id: %s, max_allowed_instances: %d}\n", model, units)
		}
	}
	list, err := quota.Parse("list", []byte(text.String()))
	require.NoError(t, err)
	rules := quota.Rules{List: list, Catalog: known(t), Config: quota.Config{EnforceLimits: true, MaxInstances: 1, AllowDeveloper: true, MaxDeveloperInstances: 1}}
	return &office{t: t, provider: quota.NewListProvider(func() quota.Rules { return rules }), catalog: rules.Catalog, rows: map[string]row{}}
}

// byService has the emulated accounts management grant the same.
func byService(t *testing.T) *office {
	t.Helper()
	o, _, _ := withService(t)
	return o
}

func withService(t *testing.T) (*office, *emulated.AMS, *emulator.Emulated) {
	t.Helper()
	options := emulated.Options{Accounts: []emulated.Account{{Username: "stranger", OrgExternalID: "elsewhere"}}}
	for id, have := range organisations {
		org := emulated.Organisation{ExternalID: id}
		for model, units := range have {
			product := map[string]string{"standard": "RHOSAK", "eval": "RHOSAKEval"}[model]
			org.Quota = append(org.Quota, emulated.Quota{Product: product, BillingModel: "standard", Allowed: units})
		}
		org.Quota = append(org.Quota, emulated.Quota{Product: "RHOSAKTrial", BillingModel: "standard", Free: true})
		options.Organisations = append(options.Organisations, org)
		for _, user := range []string{"ann", "ben"} {
			options.Accounts = append(options.Accounts, emulated.Account{Username: user + "-" + id, OrgExternalID: id})
		}
	}
	state := emulated.New(options)
	faults := emulator.Wrap("ams", state.Handler())
	server := httptest.NewServer(faults)
	t.Cleanup(server.Close)
	t.Cleanup(faults.ClearFaults)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"typ": "Bearer", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte("key"))
	require.NoError(t, err)
	client, err := upstream.New(ocm.Config{AMSBaseURL: server.URL, TokenURL: server.URL, Token: log.Secret(token), Timeout: time.Second}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	c := known(t)
	return &office{t: t, provider: ams.New(client, c), catalog: c, rows: map[string]row{}}, state, faults
}

// order takes quota for an instance of the type that the account gets.
func (o *office) order(who quota.Account, r quota.Request) (string, error) {
	standing, err := o.provider.Standing(o.t.Context(), who)
	if err != nil {
		return "", err
	}
	r.Account, r.CloudProvider = who, "aws"
	if r.InstanceType, err = standing.InstanceType(); err != nil {
		return "", err
	}
	if r.Units == 0 {
		r.Units = 1
	}
	grant, err := standing.Resolve(r, time.Now())
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	counted := 0
	for _, have := range o.rows {
		same := have.grant.InstanceType == grant.InstanceType && have.grant.BillingModel == grant.BillingModel
		if grant.Scope == quota.ByOwner && have.Account.Username == who.Username && same || grant.Scope == quota.ByOrganisation && have.Account.OrgID == who.OrgID && same {
			counted += have.Units
		}
	}
	if err := grant.Check(counted, r.Units); err != nil {
		o.mu.Unlock()
		return "", err
	}
	o.last++
	id := fmt.Sprintf("k%d", o.last)
	fresh := row{Request: r, grant: grant, reservation: quota.Reservation{Key: quota.Key(id, grant.BillingModel), Username: who.Username, CloudProvider: "aws", Units: r.Units}}
	if grant.Remote != nil {
		fresh.reservation.Remote, fresh.reservation.Instead = *grant.Remote, grant.Instead
	}
	o.rows[id] = fresh
	o.mu.Unlock()
	if _, err := o.provider.Reserve(o.t.Context(), fresh.reservation); err != nil {
		o.forget(id)
		return "", err
	}
	return id, nil
}

func (o *office) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.rows, id)
}

func (o *office) release(id string) {
	o.t.Helper()
	_, err := o.provider.Release(o.t.Context(), o.rows[id].reservation)
	require.NoError(o.t, err)
	o.forget(id)
}

func refuses(t *testing.T, err error, about string) {
	t.Helper()
	require.True(t, apierr.Is(err, apierr.InsufficientQuota) || apierr.Is(err, apierr.TooManyInstances), "%s: %v", about, err)
}

func of(user, org string) quota.Account { return quota.Account{Username: user + "-" + org, OrgID: org} }

// TestConformance is what customers may rely on, whoever grants their quota.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *office{"list": byList, "service": byService} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for part, check := range map[string]func(*testing.T, *office){
				"the type follows from the quota": typesFollow, "limits hold": limitsHold, "limits hold in a crowd": limitsHoldInACrowd,
				"billing models": billingModels, "everybody may try": trials, "reserving and releasing may be repeated": repeated,
			} {
				t.Run(part, func(t *testing.T) {
					t.Parallel()
					check(t, open(t))
				})
			}
		})
	}
}

func typesFollow(t *testing.T, o *office) {
	for org, want := range map[string]string{"some": "standard", "eval": "standard", "both": "standard", "none": "developer", "nowhere": "developer", "": "developer"} {
		standing, err := o.provider.Standing(t.Context(), of("ann", org))
		require.NoError(t, err)
		got, err := standing.InstanceType()
		require.NoError(t, err)
		require.Equal(t, want, got, org)
	}
}

func limitsHold(t *testing.T, o *office) {
	first, err := o.order(of("ann", "some"), quota.Request{})
	require.NoError(t, err)
	require.Equal(t, "standard", o.rows[first].grant.BillingModel)
	_, err = o.order(of("ann", "some"), quota.Request{Units: 2})
	refuses(t, err, "more than is left")
	_, err = o.order(of("ben", "some"), quota.Request{})
	require.NoError(t, err)
	_, err = o.order(of("ben", "some"), quota.Request{})
	refuses(t, err, "nothing is left")
	_, err = o.order(of("ann", "both"), quota.Request{})
	require.NoError(t, err, "the quota is each organisation's own")
	o.release(first)
	_, err = o.order(of("ben", "some"), quota.Request{})
	require.NoError(t, err, "what was released is free")
}

func limitsHoldInACrowd(t *testing.T, o *office) {
	var crowd sync.WaitGroup
	var mu sync.Mutex
	given := 0
	for i := range 16 {
		crowd.Go(func() {
			_, err := o.order(of([]string{"ann", "ben"}[i%2], "some"), quota.Request{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				given++
			} else if !apierr.Is(err, apierr.InsufficientQuota) && !apierr.Is(err, apierr.TooManyInstances) {
				t.Errorf("neither given nor refused: %v", err)
			}
		})
	}
	crowd.Wait()
	require.Equal(t, 2, given)
}

func billingModels(t *testing.T, o *office) {
	id, err := o.order(of("ann", "both"), quota.Request{BillingModel: "EVAL"})
	require.NoError(t, err)
	require.Equal(t, "eval", o.rows[id].grant.BillingModel, "as the catalogue writes it")
	require.Equal(t, id+"-eval", o.rows[id].reservation.Key)
	_, err = o.order(of("ann", "both"), quota.Request{})
	require.NoError(t, err, "each model has its own quota")
	for _, model := range []string{"gold", "marketplace", "eval"} {
		_, err = o.order(of("ben", "both"), quota.Request{BillingModel: model})
		refuses(t, err, model)
	}
	_, err = o.order(of("ann", "some"), quota.Request{BillingModel: "eval"})
	refuses(t, err, "a model that is not granted")
	_, err = o.order(of("ann", "some"), quota.Request{Marketplace: "aws"})
	refuses(t, err, "a marketplace that nothing was granted for")
}

func trials(t *testing.T, o *office) {
	id, err := o.order(of("ann", "none"), quota.Request{})
	require.NoError(t, err)
	require.Equal(t, []string{"developer", "standard"}, []string{o.rows[id].grant.InstanceType, o.rows[id].grant.BillingModel})
	_, err = o.order(of("ben", "none"), quota.Request{})
	require.NoError(t, err, "one for each user")
	_, err = o.order(of("ann", "none"), quota.Request{BillingModel: "eval"})
	refuses(t, err, "a trial has one billing model")
}

func repeated(t *testing.T, o *office) {
	id, err := o.order(of("ann", "both"), quota.Request{})
	require.NoError(t, err)
	again := o.rows[id].reservation
	for _, looks := range []bool{false, true} {
		again.Again = looks
		_, err = o.provider.Reserve(t.Context(), again)
		require.NoError(t, err, "one key is counted once")
	}
	o.release(id)
	existed, err := o.provider.Release(t.Context(), again)
	require.NoError(t, err)
	require.False(t, existed)
	_, err = o.order(of("ann", "both"), quota.Request{})
	require.NoError(t, err)
}
