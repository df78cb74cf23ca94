package route53

import (
	"fmt"
	"slices"
	"strings"
)

// apply changes the zone when every change of the batch is allowed; otherwise it
// gives the messages of all that are not and changes nothing.
func (z *zone) apply(batch []xmlChange) (refused []string) {
	var undo []func() // in place of a copy, which a zone of a large fleet is too big for
	for _, change := range batch {
		record := change.Set.record()
		key := recordKey{record.Name, record.Type}
		before, existed := z.records[key]
		undo = append(undo, func() {
			if delete(z.records, key); existed {
				z.records[key] = before
			}
		})
		if message := z.change(change); message != "" {
			refused = append(refused, message)
		}
	}
	if len(refused) > 0 {
		for _, back := range slices.Backward(undo) {
			back()
		}
	}
	return refused
}

func (z *zone) change(change xmlChange) (refused string) {
	record := change.Set.record()
	key := recordKey{record.Name, record.Type}
	current, exists := z.records[key]
	what := fmt.Sprintf("resource record set [name='%s', type='%s']", onWire(record.Name), record.Type)
	if message := z.misplaced(record); message != "" {
		return message
	}
	switch change.Action {
	case "CREATE":
		if exists {
			return "Tried to create " + what + " but it already exists"
		}
		return z.place(record)
	case "UPSERT":
		return z.place(record)
	case "DELETE":
		if !exists {
			return "Tried to delete " + what + " but it was not found"
		}
		if current.TTL != record.TTL || !slices.Equal(sortedValues(current), sortedValues(record)) {
			return "Tried to delete " + what + " but the values provided do not match the current values"
		}
		delete(z.records, key)
		return ""
	}
	return fmt.Sprintf("Invalid action '%s'", change.Action)
}

// misplaced tells what is wrong with the record itself.
func (z *zone) misplaced(record Record) string {
	wire := onWire(record.Name)
	switch {
	case record.Name == "":
		return "FATAL problem: DomainNameEmpty (Domain name is empty) encountered with ''"
	case record.Name != z.Name && !strings.HasSuffix(record.Name, "."+z.Name):
		return fmt.Sprintf("RRSet with DNS name %s is not permitted in zone %s.", wire, z.Name)
	case record.Name == z.Name && record.Type == "CNAME":
		return fmt.Sprintf("RRSet of type CNAME with DNS name %s is not permitted at apex in zone %s.", wire, z.Name)
	case len(record.Values) == 0 || slices.Contains(record.Values, ""):
		return "Invalid Resource Record: 'FATAL problem: RRDATANotSingleField (Value contains spaces or is empty) encountered with '''"
	case record.Type == "CNAME" && len(record.Values) != 1:
		return fmt.Sprintf("RRSet of type CNAME with DNS name %s is not permitted to have more than one value.", wire)
	}
	return ""
}

// recordTypes are those that the service knows.
var recordTypes = []string{"A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"}

func (z *zone) place(record Record) (refused string) {
	for _, kind := range recordTypes {
		_, exists := z.records[recordKey{record.Name, kind}]
		if exists && kind != record.Type && (kind == "CNAME" || record.Type == "CNAME") {
			return fmt.Sprintf("RRSet of type %s with DNS name %s is not permitted because a conflicting RRSet of type %s with the same DNS name already exists in zone %s.",
				record.Type, onWire(record.Name), kind, z.Name)
		}
	}
	z.put(record)
	return ""
}

// repeated tells about a record set that stands in the batch more than once,
// which only a DELETE followed by a CREATE may do.
func repeated(batch []xmlChange) []string {
	refused := []string{}
	seen := map[recordKey]string{}
	for _, change := range batch {
		record := change.Set.record()
		key := recordKey{record.Name, record.Type}
		before, again := seen[key]
		if again && !(before == "DELETE" && change.Action == "CREATE") {
			refused = append(refused, fmt.Sprintf("The request contains an invalid set of changes for a resource record set '%s %s'", record.Type, onWire(record.Name)))
		}
		seen[key] = change.Action
	}
	return refused
}

func sortedValues(record Record) []string {
	values := slices.Clone(record.Values)
	for i, value := range values {
		if record.Type == "CNAME" {
			values[i] = canonical(value)
		}
	}
	slices.Sort(values)
	return values
}
