package harness_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

const operation = "d0k2r448s3f5m1a9v7j0"

// Whoever judges all replies must be able to refuse them.
func TestRepliesThatWereNotPromised(t *testing.T) {
	t.Parallel()
	const fault = `{"id":"7","kind":"Error","href":"/api/kafkas_mgmt/v1/errors/7","code":"KAFKAS-MGMT-7","reason":"no","operation_id":"` + operation + `"}`
	problem := `{"type":"x","title":"x","status":404,"detail":"x",` + fault[1:]
	const list = `{"kind":"CloudProviderList","page":1,"size":0,"total":0,"items":[]}`
	json, html, asked := "application/json", "text/html", "application/problem+json"
	for name, c := range map[string]struct {
		path, accept   string
		status         int
		kind, tag      string
		body, complain string // empty: it fits
	}{
		"a list":                      {"/cloud_providers", "", 200, json, "", list, ""},
		"a list with a slash":         {"/cloud_providers/", "", 200, json, "", list, ""},
		"a list that lacks its items": {"/cloud_providers", "", 200, json, "", `{"kind":"x","page":1,"size":0,"total":0}`, "items"},
		"a list that is null":         {"/cloud_providers", "", 200, json, "", `{"kind":"x","page":1,"size":0,"total":0,"items":null}`, "items"},
		"a list as text":              {"/cloud_providers", "", 200, html, "", list, "not promised"},
		"a list without a body":       {"/cloud_providers", "", 200, json, "", "", "empty"},
		"a status nobody expects":     {"/cloud_providers", "", 204, json, "", "", "status"},
		"a path nobody knows":         {"/nowhere", "", 200, json, "", list, "undocumented"},
		"not modified":                {"/cloud_providers", "", 304, "", `W/"x"`, "", ""},
		"not modified with a body":    {"/cloud_providers", "", 304, json, `W/"x"`, list, "has no body"},
		"not modified without a tag":  {"/cloud_providers", "", 304, "", "", "", "ETag"},
		"a page":                      {"/openapi/ui", "", 200, html, `"x"`, "<p>", ""},
		"a page as JSON":              {"/openapi/ui", "", 200, json, `"x"`, "{}", "not promised"},
		"a page without a tag":        {"/openapi/ui", "", 200, html, "", "<p>", "ETag"},
		"a file with parameters":      {"/openapi/ui/page.js", "", 200, "text/javascript; charset=utf-8", `"x"`, ";", ""},
		"a fault":                     {"/openapi/ui/x", "", 404, json, "", fault, ""},
		"a fault as a problem":        {"/openapi/ui/x", "", 404, asked, "", problem, "type"},
		"a problem as asked":          {"/openapi/ui/x", asked, 404, asked, "", problem, ""},
		"a problem of half the size":  {"/openapi/ui/x", asked, 404, asked, "", fault, "missing"},
		"a fault of another request":  {"/openapi/ui/x", "", 404, json, "", strings.Replace(fault, operation, "other", 1), "operation id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+harness.Base+c.path, http.NoBody)
			require.NoError(t, err)
			request.Header.Set("Accept", c.accept)
			reply := harness.Response{Status: c.status, Header: http.Header{"X-Operation-Id": {operation}}, Body: []byte(c.body)}
			for header, value := range map[string]string{"Content-Type": c.kind, "Etag": c.tag} {
				if value != "" {
					reply.Header.Set(header, value)
				}
			}
			if err = harness.Check(request, reply); c.complain == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.complain)
			}
		})
	}
}
