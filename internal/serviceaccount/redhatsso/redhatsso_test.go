package redhatsso_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	accounts "github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const id = "6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e90"

// open gives the use cases in front of a server.
func open(t *testing.T, answer http.HandlerFunc) *accounts.Accounts {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := redhatsso.New(redhatsso.Config{Issuer: server.URL, ClientID: "x"})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return accounts.New(client, slog.New(slog.DiscardHandler))
}

// operations are the use cases without their results.
func operations(a *accounts.Accounts) map[string]func(context.Context) error {
	who := access.Identity{}
	return map[string]func(context.Context) error{
		"list": func(ctx context.Context) error { _, _, err := a.List(ctx, who, 0, 10); return err },
		"find": func(ctx context.Context) error { _, err := a.Find(ctx, who, "any"); return err },
		"get":  func(ctx context.Context) error { _, err := a.Get(ctx, who, id); return err },
		"create": func(ctx context.Context) error {
			_, err := a.Create(ctx, who, serviceaccount.Request{Name: "a"})
			return err
		},
		"reset":  func(ctx context.Context) error { _, err := a.Reset(ctx, who, id); return err },
		"delete": func(ctx context.Context) error { return a.Delete(ctx, who, id) },
	}
}

func TestEveryFailureHasItsCode(t *testing.T) {
	t.Parallel()
	const (
		general, notMade, notDeleted = apierr.General, apierr.AccountNotCreated, apierr.AccountNotDeleted
		missing, foreign, full       = apierr.AccountNotFound, apierr.Forbidden, apierr.AccountLimitReached
	)
	for _, c := range []struct {
		status                          int
		body                            string
		get, create, reset, remove, all apierr.Code // all: list and find
	}{
		{404, `{"error":"service_account_not_found"}`, missing, missing, missing, missing, missing},
		{403, `{"error":"service_account_access_invalid"}`, foreign, foreign, foreign, foreign, foreign},
		{403, `{"error":"service_account_limit_exceeded"}`, full, full, full, full, full},
		{404, `{"message":"no route matched"}`, general, notMade, general, notDeleted, general},
		{404, `<html>no such page</html>`, general, notMade, general, notDeleted, general},
		{404, `{"error":"not_found"}`, missing, notMade, general, notDeleted, general},
		{400, `{"error":"invalid_field","error_description":"name is taken"}`, general, notMade, general, notDeleted, general},
		{401, `{"error":"unauthorized"}`, general, notMade, general, notDeleted, general},
		{500, ``, general, notMade, general, notDeleted, general},
		{503, `{"error":"busy"}`, general, notMade, general, notDeleted, general},
	} {
		a := open(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		wanted := map[string]apierr.Code{"list": c.all, "find": c.all, "get": c.get, "create": c.create, "reset": c.reset, "delete": c.remove}
		for name, operation := range operations(a) {
			err := operation(t.Context())
			require.Error(t, err)
			require.Equal(t, wanted[name], apierr.From(err).Code, "%s answered %d %s: %v", name, c.status, c.body, err)
			if c.status == 400 && name == "create" {
				require.Contains(t, apierr.From(err).Reason, "name is taken", "the customer is told why")
			}
		}
	}
}

func TestWhatIsMalformedIsNotAsked(t *testing.T) {
	t.Parallel()
	a := open(t, func(http.ResponseWriter, *http.Request) { t.Error("the SSO was asked") })
	_, err := a.Create(t.Context(), access.Identity{}, serviceaccount.Request{Name: "A"})
	require.True(t, apierr.Is(err, apierr.AccountNameMalformed))
	_, err = a.Find(t.Context(), access.Identity{}, "")
	require.True(t, apierr.Is(err, apierr.FieldTooShort))
	for _, bad := range []string{"..", "6F4AE3AB-0F4E-4F0E-93A5-8D2F3C1B7E90"} {
		_, err = a.Get(t.Context(), access.Identity{}, bad)
		require.True(t, apierr.Is(err, apierr.AccountIDMalformed))
		_, err = a.Reset(t.Context(), access.Identity{}, bad)
		require.True(t, apierr.Is(err, apierr.AccountIDMalformed))
		require.True(t, apierr.Is(a.Delete(t.Context(), access.Identity{}, bad), apierr.AccountIDMalformed))
	}
}

func TestEveryCallBearsTheTokenOfItsRequest(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	a := open(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("Authorization")] = true
		w.WriteHeader(http.StatusTeapot)
	})
	for name, operation := range operations(a) {
		mu.Lock()
		clear(seen)
		mu.Unlock()
		require.Error(t, operation(access.WithToken(t.Context(), "of-this-request")))
		require.Equal(t, map[string]bool{"Bearer of-this-request": true}, seen, name)
	}
}

// TestAnAccountThatCannotBeUsedIsTakenBack: the reply has an id and no secret.
func TestAnAccountThatCannotBeUsedIsTakenBack(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var removed []string
	a := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			mu.Lock()
			defer mu.Unlock()
			removed = append(removed, r.Header.Get("Authorization")+" "+r.URL.Path)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"`+id+`","clientId":"c","name":"a"}`)
	})
	_, err := a.Create(access.WithToken(t.Context(), "t"), access.Identity{}, serviceaccount.Request{Name: "a"})
	require.True(t, apierr.Is(err, apierr.AccountNotCreated))
	require.Equal(t, []string{"Bearer t /apis/service_accounts/v1/" + id}, removed)
}
