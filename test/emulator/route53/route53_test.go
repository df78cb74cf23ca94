package route53_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
)

func dial(t *testing.T, state *route53.Route53) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(state.Handler())
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
}

func change(action types.ChangeAction, name, target string, ttl int64) types.Change {
	return types.Change{Action: action, ResourceRecordSet: &types.ResourceRecordSet{
		Name: aws.String(name), Type: types.RRTypeCname, TTL: aws.Int64(ttl),
		ResourceRecords: []types.ResourceRecord{{Value: aws.String(target)}},
	}}
}

func send(ctx context.Context, api *sdk.Client, changes ...types.Change) error {
	_, err := api.ChangeResourceRecordSets(ctx, &sdk.ChangeResourceRecordSetsInput{
		HostedZoneId: aws.String("/hostedzone/Z1"), ChangeBatch: &types.ChangeBatch{Changes: changes},
	})
	return err
}

func TestBatchesAreAtomicAndRefusalsNamed(t *testing.T) {
	t.Parallel()
	state := route53.New(route53.Options{Zones: []route53.Zone{{ID: "Z1", Name: "one.test"}}})
	api := dial(t, state)
	require.NoError(t, send(t.Context(), api, change("CREATE", "a.one.test", "r.test", 300)))
	for name, c := range map[string]struct {
		change  types.Change
		message string
	}{
		"exists":   {change("CREATE", "a.one.test", "r.test", 300), "but it already exists"},
		"missing":  {change("DELETE", "b.one.test", "r.test", 300), "but it was not found"},
		"value":    {change("DELETE", "a.one.test", "other.test", 300), "do not match the current values"},
		"ttl":      {change("DELETE", "a.one.test", "r.test", 60), "do not match the current values"},
		"zone":     {change("UPSERT", "a.two.test", "r.test", 300), "is not permitted in zone one.test"},
		"apex":     {change("UPSERT", "one.test", "r.test", 300), "not permitted at apex"},
		"no name":  {change("UPSERT", "", "r.test", 300), "Domain name is empty"},
		"repeated": {change("UPSERT", "fine.one.test", "r.test", 300), "invalid set of changes"},
	} {
		err := send(t.Context(), api, change("UPSERT", "fine.one.test", "r.test", 300), c.change)
		var refused *types.InvalidChangeBatch
		require.ErrorAs(t, err, &refused, name)
		require.Len(t, refused.Messages, 1, name)
		require.Contains(t, refused.Messages[0], c.message, name)
		require.Len(t, state.Records("one.test"), 1, name)
	}
	require.NoError(t, send(t.Context(), api, change("DELETE", "a.one.test", "r.test", 300), change("CREATE", "a.one.test", "s.test", 60)))
	require.Equal(t, []route53.Record{{Name: "a.one.test", Type: "CNAME", TTL: 60, Values: []string{"s.test"}}}, state.Records("one.test"))
}

func TestZonesComeInOrderOfReversedNames(t *testing.T) {
	t.Parallel()
	api := dial(t, route53.New(route53.Options{Zones: []route53.Zone{
		{ID: "Z3", Name: "b.test"}, {ID: "Z2", Name: "a.test", Private: true}, {ID: "Z1", Name: "a.test"}, {ID: "Z4", Name: "z.example"},
	}}))
	got := []string{}
	in := &sdk.ListHostedZonesByNameInput{MaxItems: aws.Int32(1)}
	for {
		out, err := api.ListHostedZonesByName(t.Context(), in)
		require.NoError(t, err)
		require.Len(t, out.HostedZones, 1)
		got = append(got, *out.HostedZones[0].Id)
		if !out.IsTruncated {
			break
		}
		in.DNSName, in.HostedZoneId = out.NextDNSName, out.NextHostedZoneId
	}
	require.Equal(t, []string{"/hostedzone/Z4", "/hostedzone/Z1", "/hostedzone/Z2", "/hostedzone/Z3"}, got)

	out, err := api.ListHostedZonesByName(t.Context(), &sdk.ListHostedZonesByNameInput{DNSName: aws.String("aa.test")})
	require.NoError(t, err)
	require.Equal(t, "b.test.", *out.HostedZones[0].Name, "the next one when the wanted one does not exist")

	zone, err := api.GetHostedZone(t.Context(), &sdk.GetHostedZoneInput{Id: aws.String("Z2")})
	require.NoError(t, err)
	require.True(t, zone.HostedZone.Config.PrivateZone)
	_, err = api.GetHostedZone(t.Context(), &sdk.GetHostedZoneInput{Id: aws.String("ZX")})
	var gone *types.NoSuchHostedZone
	require.ErrorAs(t, err, &gone)
}

func TestRecordsArePaged(t *testing.T) {
	t.Parallel()
	api := dial(t, route53.New(route53.Options{Zones: []route53.Zone{{ID: "Z1", Name: "one.test"}}}))
	require.NoError(t, send(t.Context(), api, change("CREATE", "*.one.test", "r.test", 300), change("CREATE", "b.one.test", "r.test", 300)))
	got := []string{}
	in := &sdk.ListResourceRecordSetsInput{HostedZoneId: aws.String("Z1"), MaxItems: aws.Int32(1)}
	for {
		out, err := api.ListResourceRecordSets(t.Context(), in)
		require.NoError(t, err)
		require.Len(t, out.ResourceRecordSets, 1)
		got = append(got, *out.ResourceRecordSets[0].Name+" "+string(out.ResourceRecordSets[0].Type))
		if !out.IsTruncated {
			break
		}
		in.StartRecordName, in.StartRecordType = out.NextRecordName, out.NextRecordType
	}
	require.Equal(t, []string{"one.test. NS", "one.test. SOA", `\052.one.test. CNAME`, "b.one.test. CNAME"}, got)
}

func TestLookupFollowsToAnAddress(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	state := route53.New(route53.Options{
		Zones:  []route53.Zone{{ID: "Z1", Name: "one.test"}, {ID: "ZP", Name: "private.test", Private: true}},
		Static: []route53.StaticHost{{Pattern: "*.mk-one.example.test", IP: "127.0.0.1"}, {Pattern: "exact.test", IP: "127.0.0.2"}},
		Now:    func() time.Time { return now },
	})
	for _, r := range []route53.Record{
		{Name: "a.one.test", Type: "CNAME", Values: []string{"b.one.test."}},
		{Name: "b.one.test", Type: "CNAME", Values: []string{"Ingress.kas.mk-one.example.test"}},
		{Name: "*.w.one.test", Type: "CNAME", Values: []string{"exact.test"}},
		{Name: "addr.one.test", Type: "A", Values: []string{"127.0.0.3"}},
		{Name: "loop.one.test", Type: "CNAME", Values: []string{"loop.one.test"}},
	} {
		require.True(t, state.Put("Z1", r))
	}
	require.True(t, state.Put("ZP", route53.Record{Name: "x.private.test", Type: "A", Values: []string{"127.0.0.9"}}))
	for name, want := range map[string]string{
		"a.one.test": "127.0.0.1", "A.one.test.": "127.0.0.1", "any.w.one.test": "127.0.0.2", "addr.one.test": "127.0.0.3",
		"loop.one.test": "", "none.one.test": "", "x.private.test": "", "mk-one.example.test": "",
	} {
		got, ok := state.Lookup(name)
		require.Equal(t, want, got, name)
		require.Equal(t, want != "", ok, name)
	}
}
