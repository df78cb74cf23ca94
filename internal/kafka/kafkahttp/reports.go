package kafkahttp

import (
	"bytes"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/pkg/api/agent"
)

// ReadReports decodes what an agent says of its instances as encoding/json would,
// in a fraction of the time: a large cluster's report is by far the largest body
// that we read, and it comes every few seconds. ok is false for what it does not
// understand; encoding/json then says what is wrong.
func ReadReports(body []byte) (reports agent.DataPlaneKafkaStatusUpdateRequest, ok bool) {
	err := json.Unmarshal(body, &reports, jsonv1.DefaultOptionsV1())
	return reports, err == nil
}

// QuickReports puts ReadReports before the generated server, which gets all other
// requests and what ReadReports does not understand.
func QuickReports(generated agent.ServerInterface, handlers *Agent, errs *httpx.Errors) agent.ServerInterface {
	return quickReports{generated, handlers, errs}
}

type quickReports struct {
	agent.ServerInterface
	handlers *Agent
	errs     *httpx.Errors
}

// UpdateKafkaClusterStatus answers PUT /agent-clusters/{id}/kafkas/status.
func (q quickReports) UpdateKafkaClusterStatus(w http.ResponseWriter, r *http.Request, id agent.ID) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		q.errs.RequestError(w, r, err)
		return
	}
	reports, ok := ReadReports(body)
	if !ok {
		r.Body = io.NopCloser(bytes.NewReader(body))
		q.ServerInterface.UpdateKafkaClusterStatus(w, r, id)
		return
	}
	reply, err := q.handlers.UpdateKafkaClusterStatus(r.Context(), agent.UpdateKafkaClusterStatusRequestObject{ID: id, Body: &reports})
	if err == nil {
		err = reply.VisitUpdateKafkaClusterStatusResponse(w)
	}
	if err != nil {
		q.errs.ResponseError(w, r, err)
	}
}
