package kafka

import "strings"

// hostNamePart is how much of the instance's name its host name shows.
const hostNamePart = 10

// hostLabel is the first DNS label of an instance: the beginning of its name
// and its whole id. Both are legal in DNS as they are, digits included, so two
// instances never share a label.
func hostLabel(name string, id ID) string {
	if len(name) > hostNamePart {
		name = name[:hostNamePart]
	}
	return name + "-" + strings.ToLower(string(id))
}

// bootstrapHost is the host name by which customers reach the instance: below
// the service's own domain where CNAME records are written, else below the
// cluster's DNS with its first "apps" replaced by "kas".
func bootstrapHost(k Kafka, domain, clusterDNS string, cnames bool) string {
	label := hostLabel(k.Name, k.ID)
	if cnames {
		return label + "." + domain
	}
	return label + "." + strings.Replace(clusterDNS, "apps", "kas", 1)
}

func namespaceOf(id ID) string { return "kafka-" + strings.ToLower(string(id)) }

// CanaryClientID is the SSO client of the instance's own canary.
func CanaryClientID(id ID) string { return "canary-" + strings.ToLower(string(id)) }

// routeDomain is the DNS name of one reported route.
func routeDomain(prefix, host string) string {
	if prefix == "" {
		return host
	}
	return prefix + "-" + host
}
