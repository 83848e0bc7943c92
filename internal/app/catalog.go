package app

import (
	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/report"
)

// decoders are the formats we read. To add one, write the file and add its line;
// the surest of a file's beginning gets the file, the first here among equals.
func decoders(o decode.Options) []decode.Decoder {
	return []decode.Decoder{
		decode.EVTX(o),
		decode.WindowsXML(o),
		decode.WindowsText(o),
		decode.Auditd(o),
		decode.ZeekTSV(o),
		decode.JSON(o),
		decode.CSV(o),
		decode.Columns(o),
		decode.Syslog(o),
		decode.Text(o),
	}
}

// detectors are the stateful detectors we ship, new ones for each run. places may
// be nil.
func detectors(places detect.Places) []detect.Detector {
	return []detect.Detector{
		detect.NewSpray(),
		detect.NewBruteForce(),
		detect.NewGuessed(),
		detect.NewTakenOver(),
		detect.NewRoast(),
		detect.NewEncrypt(),
		detect.NewNewCountry(places),
		detect.NewNewNetwork(places),
		detect.NewNewImage(),
		detect.NewNewCall(),
		detect.NewTravel(places),
		detect.NewBeacon(),
		detect.NewVolumeOut(),
		detect.NewVolumeRead(),
		detect.NewSilence(),
	}
}

// Writers are the forms a report can be written in.
func Writers(text report.TextOptions) []report.Writer {
	o := report.Options{TechniqueName: knowledge.TechniqueName, TacticName: tacticName, TacticID: tacticID}
	return []report.Writer{
		report.Text(text, o),
		report.JSON(),
		report.HTML(o),
		report.CSV(),
		report.Navigator(),
		report.OCSF(o),
		report.STIX(o),
		report.AttackFlow(o),
	}
}

func tacticName(short string) string {
	if t, ok := knowledge.Tactic(short); ok {
		return t.Name
	}
	return short
}

func tacticID(short string) string {
	t, _ := knowledge.Tactic(short)
	return t.ID
}
