select external_code, content_hash
from hub.external_ref
where connector = $1 and entity = 'product' and external_code = any ($2)
