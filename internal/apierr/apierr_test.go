package apierr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

func TestCatalogueIsSortedUniqueAndComplete(t *testing.T) {
	all := apierr.Catalogue()
	require.Len(t, all, 47, "the wire knows 47 codes")
	require.True(t, slices.IsSortedFunc(all, func(a, b apierr.Entry) int { return int(a.Code) - int(b.Code) }))
	for i, e := range all {
		require.NotEmpty(t, e.Reason)
		require.GreaterOrEqual(t, e.Status, 400)
		if i > 0 {
			require.NotEqual(t, all[i-1].Code, e.Code)
		}
	}
}

func TestTextsThatClientsMatch(t *testing.T) {
	for code, want := range map[apierr.Code]string{
		apierr.SyncUnsupported: "Synchronous action is not supported, use async=true parameter",
		apierr.NameTaken:       "Kafka cluster name is already used",
		apierr.Unauthenticated: "Account authentication could not be verified",
		apierr.NotFound:        "Resource not found",
	} {
		require.Equal(t, want, code.Entry().Reason)
	}
}

func TestUserTextIsNeverAFormat(t *testing.T) {
	err := apierr.New(apierr.NotFound, "no 100%s here")
	require.Equal(t, "no 100%s here", apierr.From(err).Reason)
}

// Reasons quote what users wrote, and go to the user and twice to the log.
func TestReasonsAreBounded(t *testing.T) {
	long := strings.Repeat("日本", 1<<18)
	for _, err := range []error{
		apierr.New(apierr.RegionUnsupported, "region "+long+" is not supported"),
		apierr.Newf(apierr.Unauthenticated, "type '%s' isn't allowed", long),
		apierr.Wrap(apierr.BillingAccountInvalid, errors.New("x"), long),
	} {
		reason := apierr.From(err).Reason
		require.Less(t, len(reason), 1100)
		require.True(t, utf8.ValidString(reason), "a character is not cut in two")
		require.True(t, strings.HasSuffix(reason, "日…") || strings.HasSuffix(reason, "本…"), reason)
	}
	exact := strings.Repeat("x", 1024)
	require.Equal(t, exact, apierr.From(apierr.New(apierr.NotFound, exact)).Reason)
}

func TestUnknownErrorsStayHidden(t *testing.T) {
	err := apierr.From(fmt.Errorf("dialling: %w", errors.New("password=hunter2")))
	require.Equal(t, apierr.General, err.Code)
	require.NotContains(t, err.Reason, "hunter2")
	require.ErrorContains(t, err, "hunter2", "the log still sees the cause")
	require.Nil(t, apierr.From(nil))
}

func TestWrappedErrorsAreFound(t *testing.T) {
	err := fmt.Errorf("creating: %w", apierr.Wrap(apierr.InsufficientQuota, errors.New("x"), "no units left"))
	require.True(t, apierr.Is(err, apierr.InsufficientQuota))
	require.Equal(t, "Insufficient quota: no units left", apierr.From(err).Reason)
	require.Equal(t, 403, apierr.From(err).Status())
}

func TestBodyOnTheWire(t *testing.T) {
	body := apierr.Kafkas.Body(apierr.From(apierr.New(apierr.NotFound, "")), "op1")
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	require.Equal(t, `{"reason":"Resource not found","operation_id":"op1","id":"7","kind":"Error",`+
		`"href":"/api/kafkas_mgmt/v1/errors/7","code":"KAFKAS-MGMT-7"}`, string(raw))
}
