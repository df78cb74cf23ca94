package openapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/admin"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

// Clients panic over a null or an empty cluster_id and over an absent list, so what is left out is part of the wire.
func TestWhatEmptyObjectsKeep(t *testing.T) {
	t.Parallel()
	const zero = `"0001-01-01T00:00:00Z"`
	for _, c := range []struct {
		value any
		body  string
	}{
		{public.KafkaRequest{}, `{"id":"","kind":"","href":"","multi_az":false,"reauthentication_enabled":false,` +
			`"created_at":` + zero + `,"updated_at":` + zero + `,"max_data_retention_size":{}}`},
		{public.KafkaRequestList{Items: []public.KafkaRequest{}}, `{"kind":"","page":0,"size":0,"total":0,"items":[]}`},
		{public.ServiceAccount{}, `{"id":"","kind":"","href":"","created_at":` + zero + `}`},
		{public.ServiceAccountListItem{}, `{"id":"","kind":"","href":"","created_at":` + zero + `}`},
		{public.MetricsRangeQueryList{Items: []public.RangeQuery{{Metric: map[string]string{}, Values: []public.Values{{}}}}},
			`{"kind":"","id":"","items":[{"metric":{},"values":[{"timestamp":0,"value":0}]}]}`},
		{public.MetricsInstantQueryList{Items: []public.InstantQuery{}}, `{"kind":"","id":"","items":[]}`},
		{public.SSOProvider{}, `{"id":"","kind":"","href":""}`},
		{public.Error{}, `{"reason":"","id":"","kind":"","href":"","code":""}`},
		{admin.Kafka{}, `{"id":"","kind":"","href":"","multi_az":false,"kafka_upgrading":false,"strimzi_upgrading":false,` +
			`"kafka_ibp_upgrading":false,"created_at":` + zero + `,"updated_at":` + zero + `,"max_data_retention_size":{}}`},
		{admin.KafkaList{Items: []admin.Kafka{}}, `{"kind":"","page":0,"size":0,"total":0,"items":[]}`},
		{agent.DataplaneClusterAgentConfig{}, `{"spec":{"observability":{"accessToken":""},"net":{"private":false}}}`},
		{agent.ManagedKafkaList{Items: []agent.ManagedKafka{{}}}, `{"kind":"","items":[{"id":"","kind":"",` +
			`"metadata":{"annotations":{"bf2.org/id":"","bf2.org/placementId":""},` +
			`"labels":{"bf2.org/kafkaInstanceProfileQuotaConsumed":""}},` +
			`"spec":{"capacity":{},"oauth":{"maximumSessionLifetime":0},"endpoint":{},"versions":{},"deleted":false}}]}`},
	} {
		raw, err := json.Marshal(c.value)
		require.NoError(t, err)
		require.JSONEq(t, c.body, string(raw))
	}
}

// reader remembers the body that the generated server decoded.
type reader struct {
	public.StrictServerInterface
	got *public.KafkaRequestPayload
}

func (r *reader) CreateKafka(
	_ context.Context, request public.CreateKafkaRequestObject,
) (public.CreateKafkaResponseObject, error) {
	r.got = request.Body
	return public.CreateKafka202JSONResponse{Body: public.KafkaRequest{Status: request.Params.Async}}, nil
}

// These are promises of the contract that rest on the code generator; an update of it must not break them unseen.
func TestHowBodiesAreDecoded(t *testing.T) {
	t.Parallel()
	yes := true
	for name, c := range map[string]struct {
		body    string
		want    public.KafkaRequestPayload
		refused bool
	}{
		"plain":              {body: `{"name":"a","reauthentication_enabled":true}`, want: public.KafkaRequestPayload{Name: "a", ReauthenticationEnabled: &yes}},
		"null":               {body: `null`},
		"null fields":        {body: `{"name":null,"cluster_id":null,"plan":null}`},
		"unknown fields":     {body: `{"name":"a","regoin":"x","size":7}`, want: public.KafkaRequestPayload{Name: "a"}},
		"other case":         {body: `{"NAME":"a"}`, want: public.KafkaRequestPayload{Name: "a"}},
		"empty":              {body: ``, refused: true},
		"broken":             {body: `{"name":`, refused: true},
		"wrong type":         {body: `[]`, refused: true},
		"wrong type of name": {body: `{"name":7}`, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refusal error
			server := &reader{}
			strict := public.NewStrictHandlerWithOptions(server, nil, public.StrictHTTPServerOptions{
				RequestErrorHandlerFunc: func(w http.ResponseWriter, _ *http.Request, err error) {
					refusal = err
					w.WriteHeader(http.StatusBadRequest)
				},
			})
			router := public.HandlerFromMux(strict, mux.NewRouter())
			reply := httptest.NewRecorder()
			// Without a Content-Type, and without async: neither keeps the body from being read.
			router.ServeHTTP(reply, httptest.NewRequestWithContext(t.Context(), http.MethodPost,
				"/api/kafkas_mgmt/v1/kafkas", strings.NewReader(c.body)))
			if c.refused {
				require.Error(t, refusal)
				require.Nil(t, server.got)
				return
			}
			require.NoError(t, refusal)
			require.Equal(t, &c.want, server.got)
		})
	}
}
