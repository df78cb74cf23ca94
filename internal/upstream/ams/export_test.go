package ams

import "time"

// SetNow lets a test pass the hours for which account numbers are kept.
func (c *Client) SetNow(now func() time.Time) { c.numbers.now = now }
