package kafka

import (
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
)

// A parameter that is not in the hash could be changed under a key unnoticed.
func TestEveryParameterOfAnOrderIsInItsHash(t *testing.T) {
	t.Parallel()
	plain, err := Request{}.hash()
	require.NoError(t, err)
	seen := map[string]string{plain: "nothing"}
	fields := reflect.TypeFor[Request]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		var r Request
		no, key := false, "key"
		switch field := reflect.ValueOf(&r).Elem().Field(i); name {
		case "ReauthenticationEnabled":
			r.ReauthenticationEnabled = &no
		case "IdempotencyKey":
			r.IdempotencyKey = &key
		default:
			field.SetString("x")
		}
		hash, err := r.hash()
		require.NoError(t, err)
		if name == "Async" || name == "IdempotencyKey" {
			require.Equal(t, plain, hash, name)
			continue
		}
		require.NotContains(t, seen, hash, "%s looks like %s", name, seen[hash])
		seen[hash] = name
	}
	yes := true
	same, err := Request{ReauthenticationEnabled: &yes}.hash()
	require.NoError(t, err)
	require.Equal(t, plain, same, "what is said and what is meant is the same")
}

func TestAKeyIsJudgedBeforeTheNameAndAfterAsync(t *testing.T) {
	t.Parallel()
	for key, code := range map[string]apierr.Code{
		"": apierr.FieldTooShort, strings.Repeat("k", 65): apierr.FieldTooLong, "a\tb": apierr.BadRequest, "a\x7fb": apierr.BadRequest, "é": apierr.BadRequest,
		strings.Repeat("~", 64): apierr.NameMalformed, "a b": apierr.NameMalformed,
	} {
		r := Request{Async: "true", Name: "Bad", IdempotencyKey: &key}
		require.True(t, apierr.Is(admitForm(r), code), "%q", key)
		r.Async = ""
		require.True(t, apierr.Is(admitForm(r), apierr.SyncUnsupported), "%q", key)
	}
}

// Whoever has to ask somebody outside is asked only when nothing before it decides.
func TestTheQuotaIsAskedOnceAndInItsTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order Request
		asked int
	}{
		"bad name": {Request{Name: "Bad"}, 0}, "taken": {Request{Name: "taken"}, 0}, "provider": {Request{Name: "one", CloudProvider: "moon"}, 0},
		"region": {Request{Name: "one", Region: "sea"}, 0}, "plan": {Request{Name: "one", Plan: "x"}, 1}, "good": {Request{Name: "one"}, 1},
		"cluster id": {Request{Name: "one", ClusterID: "x-"}, 0}, "cluster": {Request{Name: "one", ClusterID: ownCluster}, 1},
	} {
		asked := 0
		c.order.Async = "true"
		_, _ = Admit(c.order, AdmitFacts{
			Catalog: shipped(t), NameTaken: func() (bool, error) { return c.order.Name == "taken", nil },
			InstanceType: func() (string, error) { asked++; return catalog.Standard, nil },
		})
		require.Equal(t, c.asked, asked, name)
	}
}

func TestAKeyMakesOneInstanceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "registered_users_per_organisation:\n- {id: org1, any_user: true, max_allowed_instances: 1}\n")
	key := "key"
	order := Request{Async: "true", Name: "one", IdempotencyKey: &key}
	ids := make(chan ID, 12)
	var all sync.WaitGroup
	for range cap(ids) {
		all.Go(func() {
			k, err := o.Create(bound(t), of("alice", "org1"), order)
			if err != nil {
				t.Errorf("twin: %v", err)
			}
			ids <- k.ID
		})
	}
	all.Wait()
	first := <-ids
	for range cap(ids) - 1 {
		require.Equal(t, first, <-ids)
	}
	other := order
	other.Name = "two"
	_, err := o.Create(bound(t), of("alice", "org1"), other)
	require.True(t, apierr.Is(err, apierr.BadRequest), "%v", err)
	_, err = o.Create(bound(t), of("bob", "org1"), order)
	require.True(t, apierr.Is(err, apierr.NameTaken), "the key is a user's own: %v", err)

	// A refused order leaves no key behind.
	full := "full"
	_, err = o.Create(bound(t), of("alice", "org1"), Request{Async: "true", Name: "three", IdempotencyKey: &full})
	require.True(t, apierr.Is(err, apierr.TooManyInstances), "%v", err)
	var keys []string
	require.NoError(t, o.d.Gorm(bound(t)).Raw("SELECT key FROM idempotency_keys").Scan(&keys).Error)
	require.Equal(t, []string{key}, keys)

	require.NoError(t, o.d.Gorm(bound(t)).Exec("UPDATE idempotency_keys SET created_at = ?", time.Now().Add(-KeyLife)).Error)
	_, err = o.Create(bound(t), of("alice", "org1"), order)
	require.True(t, apierr.Is(err, apierr.NameTaken), "after a day it is an order like any other: %v", err)
}
