"""Invented reports in the layout of MIMIC-CXR, with each of its oddities."""

import random
import textwrap

import pytest

from kerasmi.data import reports

PLAIN = """\
                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___ year old man with ?edema  // ?edema
 
 COMPARISON:  ___
 
 FINDINGS: 
 
 The heart is mildly enlarged.  There is a small
 right effusion.
 
 IMPRESSION: 
 
 Small right effusion"""  # noqa: W291, W293 (so are the files)


def report(*lines):
    return "\n".join(f" {line}" for line in ("", "FINAL REPORT", *lines))


def test_a_usual_report_is_cut_at_its_headings():
    found = reports.sections(PLAIN)
    assert list(found) == [
        "preamble",
        "examination",
        "indication",
        "comparison",
        "findings",
        "impression",
    ]
    assert found["preamble"] == "FINAL REPORT"
    assert found["examination"] == "CHEST (PA AND LAT)"
    assert found["findings"].split("\n") == [
        "The heart is mildly enlarged.  There is a small",
        " right effusion.",
    ]
    assert reports.findings_impression(PLAIN) == (
        found["findings"],
        "Small right effusion",
    )
    assert reports.other_text(PLAIN) == ""


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_line_ends_change_nothing(newline):
    text = PLAIN.replace("\n", newline)
    assert reports.sections(text) == reports.sections(PLAIN)


def test_a_copy_without_its_indentation_has_the_same_sections():
    stripped = "\n".join(line.strip() for line in PLAIN.split("\n"))
    found = reports.sections(stripped)
    assert found.keys() == reports.sections(PLAIN).keys()
    assert found["impression"] == "Small right effusion"


def test_a_blank_line_that_lost_its_space_is_still_one():
    text = report("INDICATION: Cough.", "", "Clear lungs.", "", "No effusion.")
    stripped = text.replace("\n \n", "\n\n")
    assert stripped != text
    assert reports.parse(stripped) == reports.parse(text)
    assert reports.other_text(stripped) == "Clear lungs.\n \n No effusion."
    stripped = PLAIN.replace("\n \n", "\n\n")
    assert reports.parse(stripped) == reports.parse(PLAIN)


READ_TWICE = """\
                                 WET READ: ___ 8:00 PM
  No change.
 ______________________________________________________________________________
                                 FINAL REPORT
 FINDINGS: Large heart.
 
 IMPRESSION: Stable."""  # noqa: W293


def test_a_title_that_kept_its_indentation_does_not_hide_that_it_is_lost():
    found = reports.sections(textwrap.dedent(READ_TWICE))
    assert found == reports.sections(READ_TWICE)
    assert found["findings"] == "Large heart."


def test_a_line_that_lacks_its_indentation_is_no_heading():
    lines = ["", "FINAL REPORT", "FINDINGS: Clear.", "", "IMPRESSION: None."]
    text = "\n ".join(lines)
    assert reports.sections(text)["impression"] == "None."
    text = text.replace(" IMPRESSION", "IMPRESSION")
    assert reports.findings_impression(text) == (
        "Clear.\n \nIMPRESSION: None.",
        "",
    )


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/ IMPRESSION", "impression"),
        ("IMPRESSON", "impression"),
        ("NDICATION", "impression"),
        ("IDICATION", "indication"),
        ("FINIDNGS", "findings"),
        ("PFI", "history"),
        ("CHEST, TWO VIEWS", "findings"),
        ("FRONTAL SEMI-UPRIGHT PORTABLE", "findings"),
        ("PA AND LATERAL VIEWS OF THE CHEST", "findings"),
        ("LEFT RIBS", "findings"),
        ("IMPRESSION (WET)", "impression"),
        ("OTHER FINDINGS", "findings"),
        ("CHEST COMPARISON", "comparison"),
        ("PAST MEDICAL HISTORY", "history"),
        ("RECOMMENDATION(S)", "recommendations"),
        ("WETREAD", "wet read"),
        ("TECHNIQUE", "technique"),
        ("DATE", "date"),
    ],
)
def test_headings_go_by_their_usual_name(heading, name):
    found = reports.sections(report(f"{heading}: Clear lungs."))
    assert found[name] == "Clear lungs."


def test_a_heading_over_nothing_is_a_title():
    text = report("CHEST, PA LATERAL:", "", "INDICATION: Cough.", "", "Clear.")
    assert list(reports.sections(text)) == [
        "preamble",
        "indication",
        "last_paragraph",
    ]
    assert reports.other_text(text) == "Clear."


def test_of_two_findings_the_empty_one_is_left_out():
    text = report("CHEST, TWO VIEWS: Clear.", "", "FINDINGS:", "", "DATE: now")
    assert reports.findings_impression(text) == ("Clear.", "")


def test_of_two_findings_the_last_one_counts():
    text = report("FINDINGS: Clear.", "FINDINGS: Not clear.")
    assert [part.name for part in reports.parse(text)] == [
        "preamble",
        "findings",
        "findings",
    ]
    assert reports.findings_impression(text) == ("Not clear.", "")


def test_a_heading_on_a_headings_line_is_text():
    text = report("IMPRESSION: FINDINGS: Clear.")
    assert reports.findings_impression(text) == ("", "FINDINGS: Clear.")


def test_a_heading_on_the_first_line_is_not_seen():
    text = " FINDINGS: Clear.\n IMPRESSION: No change."
    assert reports.sections(text) == {
        "preamble": "FINDINGS: Clear.",
        "impression": "No change.",
    }


def test_lower_case_makes_no_heading():
    text = report("IMPRESSION: Seen", "Left: clear.")
    assert reports.sections(text)["impression"] == "Seen\n Left: clear."


def test_without_a_heading_all_is_the_full_report():
    text = " No change since\n yesterday."
    assert reports.sections(text) == {
        "full report": "No change since\n yesterday."
    }
    assert reports.labelled_text(text) == ""
    assert reports.other_text(text) == "No change since\n yesterday."


def test_an_empty_file_is_an_empty_report():
    assert reports.sections("") == {"full report": ""}
    assert reports.findings_impression("") == ("", "")
    assert reports.labelled_text("") == reports.final_report("") == ""
    assert reports.other_text("") == ""


def test_the_last_paragraph_is_what_follows_the_first_blank_line():
    text = report("HISTORY: Cough.", "", "Clear lungs.", "", "No change.")
    found = reports.sections(text)
    assert found["history"] == "Cough."
    assert found["last_paragraph"] == "Clear lungs.\n \n No change."
    assert reports.labelled_text(text) == found["last_paragraph"]


def test_an_addendum_on_top_stands_apart():
    text = (
        " ADDENDUM:  Told to Dr. ___.\n ______________\n"
        "                     FINAL REPORT\n HISTORY:  Cough.\n \n"
        " ADDENDUM:  Second.\n \n IMPRESSION:  Clear.\n"
    )
    found = reports.sections(text)
    assert "______" in found["preamble"]
    assert found["addendum"] == "Second."
    assert found["impression"] == "Clear."


def test_labels_were_read_from_the_best_section():
    lines = [
        "COMPARISON: None.",
        "FINDINGS: Large heart.",
        "IMPRESSION: Stable.",
    ]
    assert reports.labelled_text(report(*lines)) == "Stable."
    assert reports.labelled_text(report(*lines[:2])) == "Large heart."
    assert reports.labelled_text(report(lines[0])) == "None."
    assert reports.other_text(report(lines[0])) == "None."


def test_reports_read_by_hand_have_their_rule():
    text = report("RECOMMENDATION(S): Clear.", "COMPARISON: None.")
    assert reports.labelled_text(text, "recommendations") == "Clear."
    assert reports.labelled_text(text, (2, 7)) == text[2:7]
    assert reports.labelled_text(text, (0, 0)) == ""
    with pytest.raises(ValueError, match="'technique'"):
        reports.labelled_text(text, "technique")


@pytest.mark.parametrize("seed", range(5))
def test_every_word_is_in_one_section_or_a_heading(seed):
    draw = random.Random(seed)
    lines = ("FINDINGS:", "IMPRESSION: one", "CHEST:", "two three", "", "___")
    for _ in range(200):
        text = report(*draw.choices(lines, k=draw.randint(0, 9)))
        words = " ".join(part.text for part in reports.parse(text)).split()
        assert [w for w in words if w.islower()] == [
            w for w in text.split() if w.islower()
        ]


# --- as the paper's authors did


def test_the_final_report_is_four_sections_in_a_fixed_order():
    text = (
        " WET READ: Early words.\n" + " FINAL REPORT\n"
        " HISTORY: Cough.\n IMPRESSION: Stable ___ heart.\n"
        " FINDINGS: Large\n heart.\n RECOMMENDATIONS: None.\n"
        " CONCLUSION: Same.\n"
    )
    assert reports.final_report(text) == (
        "Large heart. Stable heart. Same. None."
    )


def test_without_the_four_sections_it_is_the_whole_final_report():
    text = report("HISTORY: Cough.", "Clear", "lungs.")
    assert reports.final_report(text) == "HISTORY: Cough. Clear lungs."


def test_without_the_title_there_is_no_final_report():
    assert reports.final_report(" FINDINGS: Clear.") == ""


def test_a_telling_heading_within_a_line_counts():
    text = report("FINDINGS: Clear. IMPRESSION: Stable.")
    assert reports.final_report(text) == "Clear. Stable."
    text = report("HISTORY: ___ IMPRESSION: Stable.")
    assert reports.final_report(text) == "Stable."


def test_two_headings_over_one_text_give_it_once():
    text = report("IMPRESSION: FINDINGS: Clear.")
    assert reports.final_report(text) == "Clear."
    text = report("FINDINGS/IMPRESSION: Clear.")
    assert reports.final_report(text) == "Clear."


def test_hostile_reports_end():
    for text in ("\n " * 10**5, "\n A" * 10**5, " A" * 10**5, ". " * 10**5):
        reports.sections(text)
        reports.final_report("FINAL REPORT\n" + text)
        reports.final_report(text + "\n FINAL REPORT\nA: B")
