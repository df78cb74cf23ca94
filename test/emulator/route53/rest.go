package route53

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const namespace = "https://route53.amazonaws.com/doc/2013-04-01/"

type xmlZone struct {
	ID              string `xml:"Id"`
	Name            string `xml:"Name"`
	CallerReference string `xml:"CallerReference"`
	Private         bool   `xml:"Config>PrivateZone"`
	Count           int    `xml:"ResourceRecordSetCount"`
}

type xmlZonesByName struct {
	XMLName     xml.Name  `xml:"ListHostedZonesByNameResponse"`
	Namespace   string    `xml:"xmlns,attr"`
	Zones       []xmlZone `xml:"HostedZones>HostedZone"`
	DNSName     string    `xml:"DNSName,omitempty"`
	Truncated   bool      `xml:"IsTruncated"`
	NextDNSName string    `xml:"NextDNSName,omitempty"`
	NextZoneID  string    `xml:"NextHostedZoneId,omitempty"`
	MaxItems    int       `xml:"MaxItems"`
}

type xmlGetZone struct {
	XMLName   xml.Name `xml:"GetHostedZoneResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Zone      xmlZone  `xml:"HostedZone"`
}

type xmlRecordSet struct {
	Name   string   `xml:"Name"`
	Type   string   `xml:"Type"`
	TTL    int64    `xml:"TTL"`
	Values []string `xml:"ResourceRecords>ResourceRecord>Value"`
}

func (s xmlRecordSet) record() Record {
	return Record{Name: canonical(s.Name), Type: s.Type, TTL: s.TTL, Values: s.Values}
}

type xmlRecordSets struct {
	XMLName   xml.Name       `xml:"ListResourceRecordSetsResponse"`
	Namespace string         `xml:"xmlns,attr"`
	Sets      []xmlRecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
	Truncated bool           `xml:"IsTruncated"`
	NextName  string         `xml:"NextRecordName,omitempty"`
	NextType  string         `xml:"NextRecordType,omitempty"`
	MaxItems  int            `xml:"MaxItems"`
}

type xmlChange struct {
	Action string       `xml:"Action"`
	Set    xmlRecordSet `xml:"ResourceRecordSet"`
}

type xmlChangeRequest struct {
	Changes []xmlChange `xml:"ChangeBatch>Changes>Change"`
}

type xmlChangeInfo struct {
	ID          string `xml:"ChangeInfo>Id"`
	Status      string `xml:"ChangeInfo>Status"`
	SubmittedAt string `xml:"ChangeInfo>SubmittedAt"`
}

type xmlChanged struct {
	XMLName   xml.Name `xml:"ChangeResourceRecordSetsResponse"`
	Namespace string   `xml:"xmlns,attr"`
	xmlChangeInfo
}

type xmlGetChange struct {
	XMLName   xml.Name `xml:"GetChangeResponse"`
	Namespace string   `xml:"xmlns,attr"`
	xmlChangeInfo
}

type xmlInvalidBatch struct {
	XMLName   xml.Name `xml:"InvalidChangeBatch"`
	Namespace string   `xml:"xmlns,attr"`
	Messages  []string `xml:"Messages>Message"`
	RequestID string   `xml:"RequestId"`
}

type xmlError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

const requestID = "00000000-0000-0000-0000-000000000001"

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(xml.Header))
	_ = xml.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, xmlError{Namespace: namespace, Type: "Sender", Code: code, Message: message, RequestID: requestID})
}

// pageSize reads maxitems; the service gives at most limit at a time.
func pageSize(req *http.Request, limit int) int {
	n, err := strconv.Atoi(req.URL.Query().Get("maxitems"))
	if err != nil || n < 1 || n > limit {
		return limit
	}
	return n
}

// listZones begins with the zone asked for or, when that does not exist, with
// whichever zone comes next: callers must look at the names they get.
func (r *Route53) listZones(w http.ResponseWriter, req *http.Request) {
	from, fromID := canonical(req.URL.Query().Get("dnsname")), req.URL.Query().Get("hostedzoneid")
	out := xmlZonesByName{Namespace: namespace, DNSName: from, MaxItems: pageSize(req, 100)}
	for _, z := range r.zones {
		order := compareNames(z.Name, from)
		if from != "" && (order < 0 || (order == 0 && z.ID < fromID)) {
			continue
		}
		if len(out.Zones) == out.MaxItems {
			out.Truncated, out.NextDNSName, out.NextZoneID = true, onWire(z.Name), z.ID
			break
		}
		out.Zones = append(out.Zones, z.toXML())
	}
	answer(w, http.StatusOK, out)
}

func (z *zone) toXML() xmlZone {
	return xmlZone{ID: "/hostedzone/" + z.ID, Name: onWire(z.Name), CallerReference: z.ID, Private: z.Private, Count: len(z.records)}
}

func (r *Route53) getZone(w http.ResponseWriter, req *http.Request) {
	if z := r.zoneOrFail(w, req); z != nil {
		answer(w, http.StatusOK, xmlGetZone{Namespace: namespace, Zone: z.toXML()})
	}
}

func (r *Route53) zoneOrFail(w http.ResponseWriter, req *http.Request) *zone {
	z := r.zone(req.PathValue("zone"))
	if z == nil {
		fail(w, http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found with ID: "+req.PathValue("zone"))
	}
	return z
}

func (r *Route53) listRecords(w http.ResponseWriter, req *http.Request) {
	z := r.zoneOrFail(w, req)
	if z == nil {
		return
	}
	from, kind := canonical(req.URL.Query().Get("name")), req.URL.Query().Get("type")
	if kind != "" && from == "" {
		fail(w, http.StatusBadRequest, "InvalidInput", "A record type needs a record name.")
		return
	}
	out := xmlRecordSets{Namespace: namespace, MaxItems: pageSize(req, 300)}
	for _, record := range z.sorted() {
		order := compareNames(record.Name, from)
		if from != "" && (order < 0 || (order == 0 && record.Type < kind)) {
			continue
		}
		if len(out.Sets) == out.MaxItems {
			out.Truncated, out.NextName, out.NextType = true, onWire(record.Name), record.Type
			break
		}
		out.Sets = append(out.Sets, xmlRecordSet{Name: onWire(record.Name), Type: record.Type, TTL: record.TTL, Values: record.Values})
	}
	answer(w, http.StatusOK, out)
}

func (r *Route53) changeRecords(w http.ResponseWriter, req *http.Request) {
	z := r.zoneOrFail(w, req)
	if z == nil {
		return
	}
	var in xmlChangeRequest
	if err := xml.NewDecoder(req.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "MalformedXML", fmt.Sprintf("the body cannot be read: %v", err))
		return
	}
	if len(in.Changes) == 0 {
		fail(w, http.StatusBadRequest, "InvalidInput", "1 validation error detected: the change batch is empty")
		return
	}
	refused := repeated(in.Changes)
	if len(refused) == 0 {
		refused = z.apply(in.Changes)
	}
	if len(refused) > 0 {
		answer(w, http.StatusBadRequest, xmlInvalidBatch{Namespace: namespace, Messages: refused, RequestID: requestID})
		return
	}
	answer(w, http.StatusOK, xmlChanged{Namespace: namespace, xmlChangeInfo: r.changeInfo(r.newChange())})
}

func (r *Route53) changeInfo(id string) xmlChangeInfo {
	at := r.changes[id]
	status := "PENDING"
	if r.now().Sub(at) >= r.options.SyncAfter {
		status = "INSYNC"
	}
	return xmlChangeInfo{ID: "/change/" + id, Status: status, SubmittedAt: at.UTC().Format(time.RFC3339)}
}

func (r *Route53) getChange(w http.ResponseWriter, req *http.Request) {
	id := strings.TrimPrefix(req.PathValue("change"), "/change/")
	if _, known := r.changes[id]; !known {
		fail(w, http.StatusNotFound, "NoSuchChange", "Could not find resource with ID: "+id)
		return
	}
	answer(w, http.StatusOK, xmlGetChange{Namespace: namespace, xmlChangeInfo: r.changeInfo(id)})
}
