"""A miniature of Open-i for tests; all is invented."""

import gzip
import io
import tarfile

PNG = b"\x89PNG invented"


def xml(number, findings="", impression="", images=(), terms=("normal",)):
    major = "".join(f"<major>{term}</major>" for term in terms)
    shown = "".join(
        f'<parentImage id="{name}"><caption>Invented</caption></parentImage>'
        for name in images
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <uId id="CXR{number}"/>
   <MedlineCitation><Article><Abstract>
      <AbstractText Label="COMPARISON">None.</AbstractText>
      <AbstractText Label="INDICATION"></AbstractText>
      <AbstractText Label="FINDINGS">{findings}</AbstractText>
      <AbstractText Label="IMPRESSION">{impression}</AbstractText>
   </Abstract></Article></MedlineCitation>
   <MeSH>{major}<automatic>opacity</automatic></MeSH>
   {shown}
</eCitation>
""".encode()


REPORTS = {
    "1": xml(
        1,
        "Heart &lt; half, clear.",
        "Größe normal.",
        ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"],
    ),
    "2": xml(2, "", "Edema.", ["CXR2_IM-9-1001"], ["Pulmonary Edema/mild"]),
    "3": xml(3, "Nodule.", "", ["CXR3_IM-9-1001"], ["No Indexing"]),
    "4": xml(4, "", "", ["CXR4_IM-9-1001"]),
    "5": xml(5, "Nothing was taken.", "None."),
}
IMAGES = (
    "CXR1_1_IM-0001-3001",
    "CXR1_1_IM-0001-4001",
    "CXR2_IM-9-1001",
    "CXR3_IM-9-1001",
    "CXR4_IM-9-1001",
)
METADATA = """imageid,Rows,View Position
CXR1_IM-0001-3001,20,PA
CXR1_IM-0001-4001,20,LL
CXR2_IM-9-1001,20,AP
CXR3_IM-9-1001,20,
"""


def tar(file, members, mode="w:gz"):
    with tarfile.open(file, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def write_archives(folder):
    """The archives as published, images in a folder; returns that."""
    (folder / "png").mkdir(parents=True)
    members = {f"ecgen-radiology/{n}.xml": x for n, x in REPORTS.items()}
    tar(folder / "NLMCXR_reports.tgz", members)
    for name in IMAGES:
        (folder / "png" / f"{name}.png").write_bytes(PNG)
    file = folder / "nlmcxr_dicom_metadata.csv.gz"
    file.write_bytes(gzip.compress(METADATA.encode()))
    return folder / "png"


def write_csvs(folder):
    """The two-CSV form; returns the folder of the images."""
    (folder / "images").mkdir(parents=True)
    for name in ("1_IM-0001-3001", "1_IM-0001-4001", "7_IM-1-1"):
        (folder / "images" / f"{name}.dcm.png").write_bytes(PNG)
    (folder / "indiana_reports.csv").write_text(
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        '1,Opacity/lung;Spine/old,x,y,z,w,"Clear,\nnearly.",Same.\n'
        "2,normal,normal,y,z,w,,No image.\n"
    )
    (folder / "indiana_projections.csv").write_text(
        "uid,filename,projection\n"
        "1,1_IM-0001-4001.dcm.png,Frontal\n"
        "1,1_IM-0001-3001.dcm.png,Lateral\n"
        "7,7_IM-1-1.dcm.png,Frontal\n"
    )
    return folder / "images"
