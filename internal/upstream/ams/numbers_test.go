package ams_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
)

func TestAccountNumbers(t *testing.T) {
	t.Parallel()
	client, faults, state := newWorldWithState(t)
	var all []string
	want := map[string]string{}
	for i := range 120 {
		id := fmt.Sprintf("99%04d", i)
		state.PutOrganisation(emulated.Organisation{ExternalID: id, EBSAccountID: "ebs-" + id})
		all, want[id] = append(all, id), "ebs-"+id
	}
	state.PutOrganisation(emulated.Organisation{ExternalID: "o'neil", EBSAccountID: "ebs-oneil"})
	state.PutOrganisation(emulated.Organisation{ExternalID: "odd", EBSAccountID: "<script>"})
	want["o'neil"] = "ebs-oneil"
	all = append(all, "o'neil", "odd", "13640203", "nobody", "x' or external_id = '1")
	var passed atomic.Int64
	began := time.Now()
	client.SetNow(func() time.Time { return began.Add(time.Duration(passed.Load())) })
	searches := func() int { return len(faults.JournalOf(http.MethodGet, "/organizations$")) }
	ask := func() map[string]string {
		got, err := client.AccountNumbers(t.Context(), all)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, want, ask())
	require.Equal(t, 3, searches(), "many organisations in a search")
	require.Equal(t, want, ask())
	require.Equal(t, 3, searches(), "what is known is not asked again, that there is none included")

	state.PutOrganisation(emulated.Organisation{ExternalID: "nobody", EBSAccountID: "ebs-new"})
	passed.Store(int64(11 * time.Minute))
	want["nobody"] = "ebs-new"
	require.Equal(t, want, ask(), "who had none is asked about again")
	require.Equal(t, 4, searches())
	passed.Store(int64(7 * time.Hour))
	require.Equal(t, want, ask())
	require.Equal(t, 7, searches())
}

func TestAccountNumbersOfAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	client, faults, state := newWorldWithState(t)
	state.PutOrganisation(emulated.Organisation{ExternalID: "1", EBSAccountID: "ebs-1"})
	state.PutOrganisation(emulated.Organisation{ExternalID: "2", EBSAccountID: "ebs-2"})
	var passed atomic.Int64
	began := time.Now()
	client.SetNow(func() time.Time { return began.Add(time.Duration(passed.Load())) })
	got, err := client.AccountNumbers(t.Context(), []string{"1"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"1": "ebs-1"}, got)

	faults.Inject(emulator.Fault{Mode: emulator.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err = client.AccountNumbers(ctx, []string{"1", "2"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, map[string]string{"1": "ebs-1"}, got, "what is known is known")
	faults.ClearFaults()
	got, err = client.AccountNumbers(t.Context(), []string{"1", "2"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"1": "ebs-1"}, got, "for a while nobody waits for it again")
	passed.Store(int64(31 * time.Second))
	got, err = client.AccountNumbers(t.Context(), []string{"1", "2"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"1": "ebs-1", "2": "ebs-2"}, got)

	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, err = client.AccountNumbers(gone, []string{"13640203"})
	require.ErrorIs(t, err, context.Canceled)
	_, err = client.AccountNumbers(t.Context(), []string{"13640203"})
	require.NoError(t, err)
	require.NotEmpty(t, faults.JournalOf(http.MethodGet, "/organizations$"))
	state.PutOrganisation(emulated.Organisation{ExternalID: "3", EBSAccountID: "ebs-3"})
	got, err = client.AccountNumbers(t.Context(), []string{"3"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"3": "ebs-3"}, got, "a caller who hung up keeps nobody from asking")
}
