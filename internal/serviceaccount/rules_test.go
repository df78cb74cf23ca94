package serviceaccount

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// codeOf gives 0 for no error.
func codeOf(err error) apierr.Code {
	if err == nil {
		return 0
	}
	return apierr.From(err).Code
}

func TestRequestsAreCheckedInTheOrderOfTheWire(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		name, description string
		want              apierr.Code
	}{
		{"a", "", 0},
		{long[:50], long[:255], 0},
		{"a-1", "Reads, and writes -\t\n\r\f\v1."[:17], 0},
		{long[:51], long, apierr.FieldTooLong},
		{"", long, apierr.FieldTooShort},
		{"A", long, apierr.FieldTooLong},
		{"A", "!", apierr.AccountNameMalformed},
		{"1a", "", apierr.AccountNameMalformed},
		{"a-", "", apierr.AccountNameMalformed},
		{"a\n", "", apierr.AccountNameMalformed},
		{"a b", "", apierr.AccountNameMalformed},
		{"ä", "", apierr.AccountNameMalformed},
		{strings.Repeat("ä", 26), "", apierr.FieldTooLong},
		{"a", "100%", apierr.AccountDescMalformed},
		{"a", "ä", apierr.AccountDescMalformed},
		{"a", strings.Repeat("ä", 128), apierr.FieldTooLong},
	} {
		require.Equal(t, c.want, codeOf(Request{c.name, c.description}.Validate()), "%q %q", c.name, c.description)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	const id = "6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e90"
	for value, want := range map[string]apierr.Code{
		id: 0, "": apierr.FieldTooShort, id + "0": apierr.FieldTooLong, id[1:]: apierr.AccountIDMalformed,
		strings.ToUpper(id): apierr.AccountIDMalformed, strings.Repeat("x", 36): apierr.AccountIDMalformed,
		id[:35] + "\n": apierr.AccountIDMalformed,
	} {
		require.Equal(t, want, codeOf(CheckID(value)), "%q", value)
	}
	for value, want := range map[string]apierr.Code{
		"srvc-acct-" + id: 0, "": apierr.FieldTooShort, "srvc-acct-" + id + "0": apierr.AccountIDMalformed,
		"srvc-acct-" + id + "00": apierr.FieldTooLong, id: apierr.AccountIDMalformed, "canary-" + id: apierr.AccountIDMalformed,
	} {
		require.Equal(t, want, codeOf(checkClientID(value)), "%q", value)
	}
}

func TestRefusalsSayWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"name is too long: at most 50 bytes are allowed":    Request{strings.Repeat("a", 51), ""}.Validate(),
		"name is missing: at least 1 character is required": Request{}.Validate(),
		"name must begin with a lower-case letter, end with a letter or digit, and consist of lower-case letters (a-z), digits and dashes, 50 at most": Request{"A", ""}.Validate(),
		"description is too long: at most 255 bytes are allowed":                                                                     Request{"a", strings.Repeat("a", 256)}.Validate(),
		"description must consist of Latin letters without accents, digits, full stops, commas, dashes and white space, 255 at most": Request{"a", "!"}.Validate(),
		"id must be a UUID of 36 lower-case hexadecimal digits and dashes":                                                           CheckID("x"),
		"client_id is missing: at least 1 character is required":                                                                     CheckAnyClientID(""),
		"client_id must be srvc-acct- and a UUID of 36 lower-case hexadecimal digits and dashes":                                     checkClientID("x"),
	} {
		require.Error(t, err, want)
		require.Equal(t, want, apierr.From(err).Reason)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	account := Account{OrgID: "one", OwnerAccountID: "42", CreatedBy: "alice"}
	unknownOwner := Account{OrgID: "one", CreatedBy: "alice"}
	for name, c := range map[string]struct {
		account      Account
		who          access.Identity
		read, change bool
	}{
		"owner":                     {account, access.Identity{OrgID: "one", AccountID: "42", Username: "alice"}, true, true},
		"owner under a new name":    {account, access.Identity{OrgID: "one", AccountID: "42", Username: "al"}, true, true},
		"colleague":                 {account, access.Identity{OrgID: "one", AccountID: "43", Username: "bob"}, true, false},
		"heir of the name":          {account, access.Identity{OrgID: "one", AccountID: "44", Username: "alice"}, true, false},
		"administrator":             {account, access.Identity{OrgID: "one", AccountID: "45", OrgAdmin: true}, true, true},
		"stranger":                  {account, access.Identity{OrgID: "two", AccountID: "46"}, false, false},
		"owner who moved":           {account, access.Identity{OrgID: "two", AccountID: "42", Username: "alice"}, false, false},
		"administrator elsewhere":   {account, access.Identity{OrgID: "two", OrgAdmin: true}, false, false},
		"owner by name":             {unknownOwner, access.Identity{OrgID: "one", AccountID: "42", Username: "alice"}, true, true},
		"colleague without ids":     {unknownOwner, access.Identity{OrgID: "one", Username: "bob"}, true, false},
		"nobody":                    {Account{}, access.Identity{OrgAdmin: true}, false, false},
		"colleague of an ownerless": {Account{OrgID: "one"}, access.Identity{OrgID: "one"}, true, false},
	} {
		for wanted, allowed := range map[right]bool{toRead: c.read, toChange: c.change} {
			want := apierr.Forbidden
			if allowed {
				want = 0
			}
			require.Equal(t, want, codeOf(c.account.check(c.who, wanted)), "%s %d", name, wanted)
		}
	}
}

func TestOccupied(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	intent := func(key string, state ledger.State, age time.Duration) ledger.Intent {
		return ledger.Intent{Key: key, State: state, UpdatedAt: now.Add(-age)}
	}
	listed := []Account{{ClientID: "foreign"}, {ClientID: "ours"}, {ClientID: "half"}}
	count, vanished := occupied(listed, []ledger.Intent{
		intent("ours", ledger.Created, time.Hour),
		intent("half", ledger.Wanted, time.Second),
		intent("another's at this moment", ledger.Wanted, time.Second),
		intent("not listed yet", ledger.Created, time.Second),
		intent("perhaps still there", ledger.Deleting, time.Hour),
		intent("removed elsewhere", ledger.Created, time.Hour),
	}, now)
	require.Equal(t, 6, count)
	require.Len(t, vanished, 1)
	require.Equal(t, "removed elsewhere", vanished[0].Key)
}
