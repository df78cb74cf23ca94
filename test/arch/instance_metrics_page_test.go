package arch

import (
	"strings"
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi"
)

const instanceMetricsHead = pageHead + `# Metrics of an instance

What the owner of a Kafka instance, and everybody else of the organisation, can know of how it fares. The figures are measured on the data plane
and some seconds old. How the fleet manager itself fares is on [another page](metrics.md).

## Three ways to read them

` + "```" + `
curl -H "Authorization: Bearer $TOKEN" "$API/kafkas/$ID/metrics/query?filters=kafka_topic:kafka_log_log_size:sum"
curl -H "Authorization: Bearer $TOKEN" "$API/kafkas/$ID/metrics/query_range?duration=60&interval=30"
curl -H "Authorization: Bearer $TOKEN" "$API/kafkas/$ID/metrics/federate"
` + "```" + `

- ` + "`query`" + ` gives the last value of each series, ` + "`query_range`" + ` those of the last ` + "`duration`" + ` minutes (1 to 4320), one every
  ` + "`interval`" + ` seconds (1 to 10800), at most 11000 of each series. Outside of these bounds the answer is error 21.
- ` + "`filters`" + ` names the metrics to give and may be repeated. A name that is not in the table below gives nothing and is no error.
- ` + "`items`" + ` is always an array, in no particular order; empty for an instance that has not reached a data plane yet. Samples that are no number
  (NaN, infinite) are left out.
- ` + "`federate`" + ` gives all of them as text for a Prometheus. Besides people's tokens it takes those of the organisation's service accounts. All
  are of type gauge, also those that only ever grow. A reply is kept for ten seconds, so scraping more often shows nothing new.
- When the figures cannot be had for the moment the answer is error 9, with ` + "`Retry-After`" + ` where another try may help.

## A Prometheus of your own

` + "```yaml" + `
scrape_configs:
  - job_name: my-kafka
    scrape_interval: 30s
    scheme: https
    metrics_path: /api/kafkas_mgmt/v1/kafkas/ID/metrics/federate
    static_configs: [{targets: [HOST]}]
    oauth2: # a service account; its token_url is that of GET /sso_providers
      client_id: CLIENT_ID
      client_secret: CLIENT_SECRET
      token_url: TOKEN_URL
` + "```" + `

## The metrics

Labels are those of the scrape; replies in JSON have ` + "`exported_service`, `exported_pod` and `route`" + ` besides, where a series has them.

| name | labels | meaning |
|---|---|---|
`

func TestInstanceMetricsPage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString(instanceMetricsHead)
	for _, m := range metricsapi.Catalogue() {
		row(&out, "`"+m.Name+"`", codes(m.Labels), m.Help)
	}
	fresh(t, "docs/instance-metrics.md", out.String())
}
