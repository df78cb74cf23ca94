package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/prometheus"
)

// measuredDeadline is how long figures may take to get from a broker to its owner:
// a scrape comes every second.
const measuredDeadline = 30 * time.Second

// messagesIn is the figure that the demo follows.
const messagesIn = "kafka_server_brokertopicmetrics_messages_in_total"

// openPrometheus starts what measures the brokers. A machine without Prometheus has
// a world without figures: nothing else needs them.
func (w *world) openPrometheus(ctx context.Context) (err error) {
	w.measuring, err = prometheus.Start(ctx, prometheus.Options{
		Dir: w.folder.file("prometheus"), Address: local(w.ports.Prometheus), Target: local(w.ports.Figures),
	})
	if errors.Is(err, prometheus.ErrNotInstalled) {
		w.say("%v; Kafkas have no figures here", err)
		return nil
	}
	if err != nil {
		return err
	}
	w.onClose(w.measuring.Stop)
	w.say("Prometheus runs, process %d", w.measuring.PID())
	return w.upstreams.Metrics.Forward(w.measuring.URL())
}

func (w *world) prometheusURL() string {
	if w.measuring == nil {
		return ""
	}
	return w.measuring.URL()
}

func (w *world) prometheusPID() int {
	if w.measuring == nil {
		return 0
	}
	return w.measuring.PID()
}

// figure gives the sum of a metric over all brokers and topics of a Kafka.
func (c *customer) figure(ctx context.Context, id, metric string) (float64, error) {
	got, err := c.api.GetMetricsByInstantQueryWithResponse(ctx, id, &public.GetMetricsByInstantQueryParams{Filters: []string{metric}})
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	if got.JSON200 == nil {
		return 0, fmt.Errorf("reading metrics: status %d: %s", got.HTTPResponse.StatusCode, got.Body)
	}
	sum := 0.0
	for _, item := range got.JSON200.Items {
		sum += item.Value
	}
	return sum, nil
}

// measure waits until the customer's figures say what the customer did.
func (t *story) measure(ctx context.Context) (string, error) {
	if t.world.measuring == nil {
		return "no Prometheus here", nil
	}
	seen := 0.0
	err := until(ctx, measuredDeadline, nil, func(ctx context.Context) (err error) {
		if seen, err = t.customer.figure(ctx, t.kafka.ID, messagesIn); err == nil && seen != float64(t.messages) {
			err = fmt.Errorf("%s is %g, %d messages were sent", messagesIn, seen, t.messages)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	t.world.say("%s is %g", messagesIn, seen)
	return fmt.Sprintf("%g messages in", seen), nil
}
