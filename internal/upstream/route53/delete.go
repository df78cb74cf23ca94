package route53

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// rounds bounds how often Delete reads again after its batch was overtaken by another change.
const rounds = 3

// Deletion tells what Delete did.
type Deletion struct {
	ChangeID string   // empty: there was nothing to delete
	Kept     []Record // records at the names whose value is not the caller's
}

// Records gives the CNAME records that exist at exactly these names.
func (c *Client) Records(ctx context.Context, names []string) ([]Record, error) {
	sets, err := c.read(ctx, names)
	if err != nil {
		return nil, classify("reading records", err)
	}
	records := make([]Record, 0, len(sets))
	for _, set := range sets {
		records = append(records, toRecord(set))
	}
	return records, nil
}

// Delete removes the records at the names whose value the caller owns. It reads
// first and deletes what is there: a batch with one wrong or missing record
// would be refused as a whole and leave the others behind. No record, no error.
func (c *Client) Delete(ctx context.Context, names []string, owns func(Record) bool) (Deletion, error) {
	var overtaken error
	for range rounds {
		sets, err := c.read(ctx, names)
		if err != nil {
			return Deletion{}, classify("reading records to delete", err)
		}
		done := Deletion{}
		changes := []types.Change{}
		for _, set := range sets {
			if record := toRecord(set); !owns(record) {
				done.Kept = append(done.Kept, record)
				continue
			}
			changes = append(changes, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: &set})
		}
		if len(changes) == 0 {
			return done, nil
		}
		done.ChangeID, err = c.change(ctx, changes)
		if err == nil {
			return done, nil
		}
		var refused *types.InvalidChangeBatch
		if !errors.As(err, &refused) {
			return Deletion{}, classify("deleting records", err)
		}
		overtaken = err
	}
	return Deletion{}, classify("deleting records", overtaken)
}

// read gives the CNAME record sets at exactly the names, one call each: the
// names of one owner are not neighbours in the order of the zone.
func (c *Client) read(ctx context.Context, names []string) ([]types.ResourceRecordSet, error) {
	zone, err := c.Zone(ctx)
	if err != nil {
		return nil, err
	}
	var found []types.ResourceRecordSet
	for _, name := range names {
		if !c.holds(name) {
			return nil, fmt.Errorf("%w: %q is not below %q", ErrRefused, name, c.domain)
		}
		set, exists, err := c.readOne(ctx, zone, canonical(name))
		if err != nil {
			c.forgetZone(zone, err)
			return nil, err
		}
		if exists {
			found = append(found, set)
		}
	}
	return found, nil
}

func (c *Client) readOne(ctx context.Context, zone, name string) (set types.ResourceRecordSet, exists bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err := c.api.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: aws.String(zone), StartRecordName: aws.String(name),
		StartRecordType: types.RRTypeCname, MaxItems: aws.Int32(1),
	})
	if err == nil && out.MaxItems == nil {
		err = errNoDocument
	}
	if err != nil || len(out.ResourceRecordSets) == 0 {
		return set, false, err
	}
	set = out.ResourceRecordSets[0] // the next one in order when there is none of that name
	return set, canonical(aws.ToString(set.Name)) == name && set.Type == types.RRTypeCname, nil
}

func toRecord(set types.ResourceRecordSet) Record {
	r := Record{Name: canonical(aws.ToString(set.Name)), TTL: aws.ToInt64(set.TTL)}
	if len(set.ResourceRecords) > 0 {
		r.Target = canonical(aws.ToString(set.ResourceRecords[0].Value))
	}
	return r
}
