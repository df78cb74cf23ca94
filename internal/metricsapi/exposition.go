package metricsapi

import (
	"bytes"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// ContentType is that of an exposition.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// expose writes the series in the text format of Prometheus, in the order of the
// catalogue. All are gauges there, counters too: so they always were, and the
// scrapers' own metadata say so by now.
func expose(found []Series) ([]byte, error) {
	var out bytes.Buffer
	for _, m := range Catalogue() {
		family := &dto.MetricFamily{Name: new(m.Name), Help: new(m.Help), Type: dto.MetricType_GAUGE.Enum()}
		for _, p := range points(m, found) {
			one := &dto.Metric{Gauge: &dto.Gauge{Value: new(p.sample.Value)}}
			for i, value := range p.values {
				if value != "" { // an empty label is no label
					one.Label = append(one.Label, &dto.LabelPair{Name: new(m.Labels[i]), Value: new(value)})
				}
			}
			family.Metric = append(family.Metric, one)
		}
		if len(family.Metric) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			return nil, fmt.Errorf("writing an exposition: %w", err)
		}
	}
	return out.Bytes(), nil
}
