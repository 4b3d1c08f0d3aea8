"""The words of the phantom's reports: synonyms, places and templates."""

# Nouns of each kind; "a " before one that takes an article.
NOUNS: dict[str, tuple[str, ...]] = {
    "effusion": (
        "a pleural effusion",
        "a effusion",
        "pleural fluid",
        "a pleural fluid collection",
        "layering pleural fluid",
        "a hydrothorax",
    ),
    "pneumothorax": (
        "a pneumothorax",
        "a apical pneumothorax",
        "pleural air",
        "apical pleural air",
    ),
    "consolidation": (
        "consolidation",
        "dense consolidation",
        "a focal consolidation",
        "airspace consolidation",
        "a consolidative opacity",
    ),
    "pneumonia": (
        "pneumonia",
        "patchy pneumonia",
        "a pneumonic infiltrate",
        "bronchopneumonia",
        "a patchy infectious infiltrate",
    ),
    "atelectasis": (
        "atelectasis",
        "linear atelectasis",
        "plate-like atelectasis",
        "a band of volume loss",
        "subsegmental collapse",
        "a linear band of atelectasis",
    ),
    "nodule": (
        "a nodule",
        "a nodular opacity",
        "a rounded opacity",
        "a small round opacity",
        "a solitary nodule",
    ),
    "tracheal tube": (
        "a endotracheal tube",
        "a tracheal tube",
        "a ET tube",
        "a breathing tube",
    ),
    "right line": (
        "a right central venous line",
        "a right jugular catheter",
        "a right PICC",
        "a right-sided venous catheter",
    ),
    "left line": (
        "a left central venous line",
        "a left subclavian catheter",
        "a left PICC",
        "a left-sided venous catheter",
    ),
    "pacemaker": (
        "a pacemaker",
        "a cardiac pacing device",
        "a dual lead pacemaker",
        "a left chest pacemaker generator",
    ),
    "feeding tube": (
        "a feeding tube",
        "a nasogastric tube",
        "a enteric tube",
        "a gastric tube",
    ),
}

# The words that give a grade away, from grade 1 on.
EDEMA = (
    (
        "pulmonary vascular congestion",
        "mild vascular congestion",
        "vascular engorgement",
        "mild venous congestion",
        "cephalization of the vessels",
    ),
    (
        "interstitial edema",
        "interstitial pulmonary edema",
        "moderate pulmonary edema",
        "moderate interstitial edema",
        "septal thickening from edema",
    ),
    (
        "alveolar edema",
        "severe pulmonary edema",
        "florid pulmonary edema",
        "severe alveolar edema",
        "airspace edema",
    ),
)
HEART = (
    (
        "mild cardiomegaly",
        "mild enlargement of the heart",
        "a mildly enlarged heart",
        "a mildly enlarged cardiac silhouette",
        "slight cardiac enlargement",
    ),
    (
        "marked cardiomegaly",
        "severe cardiomegaly",
        "marked enlargement of the heart",
        "a markedly enlarged heart",
        "a severely enlarged cardiac silhouette",
    ),
)
GRADES = {
    "effusion": (
        ("small", "trace", "minimal"),
        ("moderate", "moderately large"),
        ("large", "massive", "very large"),
    ),
    "pneumothorax": (("small", "tiny"), ("moderate", "large")),
}
ADJECTIVES = {
    "consolidation": ("", "", "new", "persistent", "increasing"),
    "pneumonia": ("", "", "new", "developing", "increasing"),
    "atelectasis": ("", "", "mild", "minor", "persistent"),
}

# Where; {} is the side.
ZONE_PLACES = {
    "upper": (
        "in the {} upper lobe",
        "in the {} upper lung",
        "in the {} upper zone",
    ),
    "middle": (
        "in the {} mid lung",
        "in the {} middle zone",
        "in the {} perihilar region",
    ),
    "lower": (
        "in the {} lower lobe",
        "at the {} lung base",
        "in the {} lower zone",
        "at the {} base",
    ),
}
PLEURAL_PLACES = ("on the {}", "on the {} side", "in the {} pleural space")
EDEMA_PLACES = ("", "", "bilaterally", "in both lungs", "in the central lungs")
TIPS = {
    "tracheal tube": (
        "ends above the carina",
        "terminates in the mid trachea",
        "is in good position",
    ),
    "right line": (
        "ends in the superior vena cava",
        "terminates at the cavoatrial junction",
        "is in good position",
    ),
    "left line": (
        "ends in the superior vena cava",
        "crosses the midline to the superior vena cava",
        "is in good position",
    ),
    "pacemaker": (
        "has leads over the right heart",
        "is in unchanged position",
        "overlies the left chest",
    ),
    "feeding tube": (
        "ends in the stomach",
        "courses below the diaphragm",
        "passes below the field of view",
    ),
}

# Sentences; {} is what is there, with its article, {:bare} without.
POSITIVE = (
    "there is {a}.",
    "{a} is present.",
    "{a} is seen.",
    "{a} is noted.",
    "{a} is visible.",
    "the image shows {a}.",
    "findings consistent with {a}.",
)
HEDGED = (
    "possible {bare}.",
    "{a} cannot be excluded.",
    "there may be {a}.",
    "questionable {bare}.",
    "{a} is suspected.",
    "findings could represent {a}.",
)
BRIEF_POSITIVE = ("{bare}.", "{bare}.", "{bare} noted.", "{bare} again seen.")
BRIEF_HEDGED = ("possible {bare}.", "{bare} not excluded.", "? {bare}.")
NEGATED = (
    "no {list}.",
    "there is no {list}.",
    "no evidence of {list}.",
    "negative for {list}.",
    "there is no sign of {list}.",
)

# What is denied by name, and the normal sentences that deny it otherwise.
DENIED = {
    "Atelectasis": ("atelectasis", "volume loss"),
    "Cardiomegaly": ("cardiomegaly", "cardiac enlargement"),
    "Consolidation": ("focal consolidation", "consolidation"),
    "Edema": ("pulmonary edema", "edema", "vascular congestion"),
    "Lung Opacity": ("lung opacity", "parenchymal opacity"),
    "Pleural Effusion": ("pleural effusion", "effusion", "pleural fluid"),
    "Pneumonia": ("pneumonia", "infiltrate suspicious for pneumonia"),
    "Pneumothorax": ("pneumothorax", "pleural air"),
    "Support Devices": ("support device", "line or tube"),
}
NORMAL = {
    "Cardiomegaly": (
        "heart size is normal.",
        "the cardiac silhouette is within normal limits.",
        "the heart is not enlarged.",
    ),
    "Edema": (
        "pulmonary vascularity is normal.",
        "the pulmonary vessels are not congested.",
    ),
    "Lung Opacity": (
        "the lungs are clear.",
        "lungs are clear bilaterally.",
        "both lungs are well aerated and clear.",
    ),
    "Pleural Effusion": (
        "the costophrenic angles are sharp.",
        "the pleural spaces are dry.",
    ),
}
# How often an absent finding is denied at all.
DENIAL_RATES = {
    "Atelectasis": 0.25,
    "Cardiomegaly": 0.5,
    "Consolidation": 0.45,
    "Edema": 0.5,
    "Lung Opacity": 0.5,
    "Pleural Effusion": 0.55,
    "Pneumonia": 0.4,
    "Pneumothorax": 0.55,
    "Support Devices": 0.3,
}

BOILERPLATE = (
    "comparison is made with the prior study.",
    "a single frontal view of the chest was obtained.",
    "the bones are unremarkable.",
    "no acute fracture.",
    "clinical correlation is advised.",
    "findings were discussed with the care team.",
    "degenerative changes of the spine.",
    "the trachea is midline.",
    "mediastinal contours are stable.",
    "the upper abdomen is unremarkable.",
    "follow up as needed.",
    "no free air below the diaphragm.",
    "soft tissues are normal.",
    "the aorta is tortuous.",
    "no relevant change otherwise.",
    "repeat imaging after treatment is recommended.",
    "the patient was examined at the bedside.",
    "low lung volumes limit the assessment.",
    "exposure is adequate.",
    "please see the separate report for details.",
)
NOTHING_ACUTE = (
    "no acute process.",
    "no acute cardiopulmonary abnormality.",
    "normal chest.",
    "no acute disease.",
)
