package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
)

const (
	pollPause    = 50 * time.Millisecond
	callDeadline = 10 * time.Second
)

// errGone says that the API does not know the Kafka any more.
var errGone = errors.New("the Kafka is gone")

// customer is a user of the public API.
type customer struct{ api *public.ClientWithResponses }

func newCustomer(url, token string) (*customer, error) {
	api, err := public.NewClientWithResponses(url,
		public.WithHTTPClient(&http.Client{Timeout: callDeadline}),
		public.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	return &customer{api: api}, err
}

// answered turns a reply that is no success into an error that quotes it.
func answered(doing string, err error, status int, body []byte) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case status/100 != 2:
		return fmt.Errorf("%s: status %d: %s", doing, status, body)
	}
	return nil
}

func (c *customer) createAccount(ctx context.Context, name string) (public.ServiceAccount, error) {
	got, err := c.api.CreateServiceAccountWithResponse(ctx, public.ServiceAccountRequest{Name: name})
	if err != nil {
		return public.ServiceAccount{}, err
	}
	if err := answered("creating a service account", nil, got.HTTPResponse.StatusCode, got.Body); err != nil {
		return public.ServiceAccount{}, err
	}
	if got.JSON202 == nil {
		return public.ServiceAccount{}, fmt.Errorf("creating a service account: unexpected reply %s", got.HTTPResponse.Status)
	}
	return *got.JSON202, nil
}

func (c *customer) deleteAccount(ctx context.Context, id string) error {
	got, err := c.api.DeleteServiceAccountByIDWithResponse(ctx, id)
	if err != nil {
		return err
	}
	return answered("deleting the service account", nil, got.HTTPResponse.StatusCode, got.Body)
}

func (c *customer) createKafka(ctx context.Context, name string) (public.KafkaRequest, error) {
	got, err := c.api.CreateKafkaWithResponse(ctx, &public.CreateKafkaParams{Async: "true"}, public.KafkaRequestPayload{Name: name})
	if err != nil {
		return public.KafkaRequest{}, err
	}
	if got.JSON202 == nil {
		return public.KafkaRequest{}, fmt.Errorf("creating a Kafka: status %d: %s", got.HTTPResponse.StatusCode, got.Body)
	}
	return *got.JSON202, nil
}

func (c *customer) deleteKafka(ctx context.Context, id string) error {
	got, err := c.api.DeleteKafkaByIDWithResponse(ctx, id, &public.DeleteKafkaByIDParams{Async: "true"})
	if err != nil {
		return err
	}
	return answered("deleting the Kafka", nil, got.HTTPResponse.StatusCode, got.Body)
}

// follow reads the Kafka until changed, which hears of every status, is content.
func (c *customer) follow(ctx context.Context, k public.KafkaRequest, changed func(public.KafkaRequest) bool) (public.KafkaRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, goneDeadline)
	defer cancel()
	ticker := time.NewTicker(pollPause)
	defer ticker.Stop()
	for last := ""; ; {
		if k.Status != last {
			if last = k.Status; changed(k) {
				return k, nil
			}
		}
		select {
		case <-ctx.Done():
			return k, fmt.Errorf("its status is still %s: %w", last, ctx.Err())
		case <-ticker.C:
		}
		got, err := c.api.GetKafkaByIDWithResponse(ctx, k.ID)
		switch {
		case err != nil:
			return k, fmt.Errorf("reading the Kafka: %w", err)
		case got.HTTPResponse.StatusCode == http.StatusNotFound:
			return k, errGone
		case got.JSON200 == nil:
			return k, fmt.Errorf("reading the Kafka: status %d: %s", got.HTTPResponse.StatusCode, got.Body)
		case got.JSON200.Status == "failed":
			return k, fmt.Errorf("the Kafka failed: %s", got.JSON200.FailedReason)
		}
		k = *got.JSON200
	}
}
